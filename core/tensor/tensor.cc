// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/tensor.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/tensor/autograd_meta.h"

namespace inlay {
namespace {

std::array<i64, Shape::kMaxRank> contiguous_strides(const Shape& shape) {
  std::array<i64, Shape::kMaxRank> strides{};
  i64 step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

int code_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 104;
    case DType::kF64:
      return 108;
    case DType::kBf16:
    case DType::kF16:
      return 2;
    case DType::kI16:
      return 12;
    case DType::kI32:
      return 14;
    case DType::kI64:
      return 18;
    case DType::kI8:
      return 11;
    case DType::kU8:
    case DType::kBool:
      return 1;
  }
  return 0;
}

}  // namespace

Tensor::Impl& Tensor::impl() const {
  INLAY_ASSERT(impl_ != nullptr);
  return *impl_;
}

Tensor Tensor::make(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype) {
  Tensor t;
  t.impl_ = std::make_shared<Impl>();
  t.impl_->storage = std::move(storage);
  t.impl_->shape = shape;
  t.impl_->strides = contiguous_strides(shape);
  t.impl_->numel = shape.numel();
  t.impl_->dtype = dtype;
  return t;
}

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  return make(Storage::allocate(shape.numel() * size_of(dtype)), shape, dtype);
}

Tensor Tensor::overlaid(const Shape& shape, DType dtype) const {
  INLAY_ASSERT(is_contiguous() && impl().offset == 0 && shape.numel() * size_of(dtype) <= bytes());
  return make(impl().storage, shape, dtype);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  on(t).zero({t.impl_->storage->data(), static_cast<std::size_t>(t.bytes())});
  return t;
}

Tensor Tensor::full(const Shape& shape, float value) {
  Tensor t = empty(shape);
  on(t).fill(t.out(), value);
  return t;
}

Tensor Tensor::from(std::span<const float> values, const Shape& shape) {
  if (static_cast<i64>(values.size()) != shape.numel()) {
    throw ShapeError(str("from: ", values.size(), " values for shape ", shape.to_string()));
  }
  return from_bytes(std::as_bytes(values), shape, DType::kF32);
}

Tensor Tensor::from_bytes(std::span<const std::byte> bytes, const Shape& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  t.copy_bytes_in(bytes);
  return t;
}

Tensor Tensor::borrow(std::span<const std::byte> bytes, const Shape& shape, DType dtype,
                      std::shared_ptr<const void> owner) {
  INLAY_ASSERT(static_cast<i64>(bytes.size()) == shape.numel() * size_of(dtype));
  INLAY_ASSERT(reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(dtype) == 0);
  return make(Storage::borrow(bytes, std::move(owner)), shape, dtype);
}

bool Tensor::is_contiguous() const {
  i64 step = 1;
  for (int axis = rank() - 1; axis >= 0; --axis) {
    if (dim(axis) != 1 && stride(axis) != step) {
      return false;
    }
    step *= dim(axis);
  }
  return true;
}

void* Tensor::checked_data(int code, bool writable, bool contiguous) const {
  INLAY_ASSERT(code == code_of(dtype()));
  INLAY_ASSERT(!writable || !read_only());
  INLAY_ASSERT(!contiguous || is_contiguous());
  return const_cast<void*>(raw());
}

const void* Tensor::raw() const {
  return impl().storage->data() + impl().offset * size_of(dtype());
}

float Tensor::item() const {
  if (numel() != 1) {
    throw ShapeError(str("item: expected one element, found shape ", shape().to_string()));
  }
  return copy_out<float>()[0];
}

std::vector<float> Tensor::to_vector() const {
  return to(DType::kF32).copy_out<float>();
}

void Tensor::copy_bytes_out(std::span<std::byte> to, i64 offset) const {
  INLAY_ASSERT(offset >= 0 && offset + static_cast<i64>(to.size()) <= bytes());
  const Tensor dense = contiguous();
  backend().copy_out(to, static_cast<const std::byte*>(dense.raw()) + offset);
}

void Tensor::copy_bytes_in(std::span<const std::byte> from) const {
  INLAY_ASSERT(static_cast<i64>(from.size()) == bytes() && is_contiguous() && !read_only());
  backend().copy_in(static_cast<std::byte*>(const_cast<void*>(raw())), from);
}

std::span<const float> Tensor::values() const {
  INLAY_ASSERT(backend().host_may_touch());
  return in();
}

std::span<float> Tensor::mutable_values() const {
  INLAY_ASSERT(backend().host_may_touch());
  return out();
}

int Tensor::code_of_dtype() const {
  return code_of(dtype());
}

Tensor Tensor::view(const Shape& shape) const {
  if (shape.numel() != numel() || !is_contiguous()) {
    throw ShapeError(
        str("view: ", this->shape().to_string(), " cannot be seen as ", shape.to_string()));
  }
  Tensor t = make(impl().storage, shape, dtype());
  t.impl_->offset = impl().offset;
  return t;
}

Tensor Tensor::slice(int axis, i64 begin, i64 end) const {
  const int index = shape().checked_axis(axis);
  if (begin < 0 || begin > end || end > dim(index)) {
    throw ShapeError(
        str("slice: [", begin, ", ", end, ") of axis ", axis, " of ", shape().to_string()));
  }
  Tensor t = detach();
  t.impl_->shape = shape().with(index, end - begin);
  t.impl_->numel = t.impl_->shape.numel();
  t.impl_->offset += begin * stride(index);
  return t;
}

Tensor Tensor::transpose(int a, int b) const {
  const int first = shape().checked_axis(a);
  const int second = shape().checked_axis(b);
  Tensor t = detach();
  t.impl_->shape = shape().with(first, dim(second)).with(second, dim(first));
  std::swap(t.impl_->strides[first], t.impl_->strides[second]);
  return t;
}

Tensor Tensor::contiguous() const {
  return is_contiguous() ? *this : clone();
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape(), dtype());
  t.copy_from(*this);
  return t;
}

Tensor Tensor::to(DType target) const {
  if (target == dtype()) {
    return *this;
  }
  const Tensor source = contiguous();
  Tensor t = empty(shape(), target);
  if (dtype() == DType::kF32 && target == DType::kBf16) {
    on(t).f32_to_bf16(source.in(), t.span<u16>());
  } else if (dtype() == DType::kF32 && target == DType::kF16) {
    on(t).f32_to_f16(source.in(), t.span<u16>());
  } else if (dtype() == DType::kBf16 && target == DType::kF32) {
    on(t).bf16_to_f32(source.span<const u16>(), t.out());
  } else if (dtype() == DType::kF16 && target == DType::kF32) {
    on(t).f16_to_f32(source.span<const u16>(), t.out());
  } else if (dtype() == DType::kF16 || dtype() == DType::kBf16) {
    return to(DType::kF32).to(target);
  } else {
    throw DTypeError(str("to: cannot convert ", dtype_name(dtype()), " to ", dtype_name(target)));
  }
  return t;
}

Tensor Tensor::detach() const {
  Tensor t;
  t.impl_ = std::make_shared<Impl>(impl());
  t.impl_->autograd = nullptr;
  return t;
}

void Tensor::copy_from(const Tensor& source) const {
  check_shape("copy_from", source, shape());
  check_dtype("copy_from", source, dtype());
  INLAY_ASSERT(!read_only());
  const i64 size = size_of(dtype());
  kernels::StridedCopy copy;
  copy.from = static_cast<const std::byte*>(source.raw());
  copy.to = static_cast<std::byte*>(const_cast<void*>(raw()));
  copy.size = size;
  if (is_contiguous() && source.is_contiguous()) {
    copy.rank = 1;
    copy.shape[0] = numel();
    copy.from_strides[0] = copy.to_strides[0] = size;
  } else {
    copy.rank = rank();
    for (int axis = 0; axis < rank(); ++axis) {
      copy.shape[axis] = dim(axis);
      copy.from_strides[axis] = source.stride(axis) * size;
      copy.to_strides[axis] = stride(axis) * size;
    }
  }
  on(*this).copy_strided(copy);
}

bool Tensor::requires_grad() const {
  return impl().autograd != nullptr && impl().autograd->requires_grad;
}

const Tensor& Tensor::set_requires_grad(bool wanted) const {
  if (impl().autograd == nullptr) {
    impl().autograd = std::make_shared<AutogradMeta>();
  }
  INLAY_ASSERT(impl().autograd->node == nullptr);
  impl().autograd->requires_grad = wanted;
  return *this;
}

Tensor Tensor::grad() const {
  return impl().autograd == nullptr ? Tensor() : impl().autograd->grad;
}

void Tensor::set_grad(Tensor grad) const {
  INLAY_ASSERT(impl().autograd != nullptr);
  impl().autograd->grad = std::move(grad);
}

bool Tensor::is_unique() const {
  return impl_.use_count() == 1 && impl().storage.use_count() == 1 && !read_only();
}

void check_shape(std::string_view what, const Tensor& t, const Shape& expected) {
  if (t.shape() != expected) {
    throw ShapeError(
        str(what, ": expected ", expected.to_string(), ", found ", t.shape().to_string()));
  }
}

void check_dtype(std::string_view what, const Tensor& t, DType expected) {
  if (t.dtype() != expected) {
    throw DTypeError(
        str(what, ": expected ", dtype_name(expected), ", found ", dtype_name(t.dtype())));
  }
}

i64 count_not_finite(const Tensor& t) {
  const Tensor count = Tensor::empty({1}, DType::kI64);
  on(t).count_not_finite(t.in(), count.span<i64>());
  return count.copy_out<i64>()[0];
}

}  // namespace inlay
