// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"
#include "core/tensor/storage.h"
#include "core/types.h"

/// Tensors: a shape, an element type and strides over shared storage. A `Tensor` is a handle:
/// copying it copies no data. What autograd knows of a tensor hangs on the same object
/// (core/autograd/graph.h).
namespace inlay {

struct AutogradMeta;

class Tensor {
 public:
  /// An undefined tensor: `defined()` is false, everything else is an error.
  Tensor() = default;

  /// Uninitialised, zero, or filled; booked under the current MemoryScope.
  static Tensor empty(const Shape& shape, DType dtype = DType::kF32);
  static Tensor zeros(const Shape& shape, DType dtype = DType::kF32);
  static Tensor full(const Shape& shape, float value);
  static Tensor empty_like(const Tensor& other) { return empty(other.shape(), other.dtype()); }
  /// Copies `values`, one for each element of `shape`.
  static Tensor from(std::span<const float> values, const Shape& shape);
  static Tensor from(std::initializer_list<float> values, const Shape& shape) {
    return from(std::span<const float>(values.begin(), values.size()), shape);
  }
  /// Copies bytes of the host, `shape` elements of a type.
  static Tensor from_bytes(std::span<const std::byte> bytes, const Shape& shape, DType dtype);
  /// A read-only view of bytes that `owner` keeps alive, such as a mapped file; the bytes must be
  /// aligned for `dtype`.
  static Tensor borrow(std::span<const std::byte> bytes, const Shape& shape, DType dtype,
                       std::shared_ptr<const void> owner);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl().shape; }
  i64 dim(int axis) const { return shape()[axis]; }
  int rank() const { return shape().rank(); }
  i64 numel() const { return impl().numel; }
  DType dtype() const { return impl().dtype; }
  i64 bytes() const { return numel() * size_of(dtype()); }
  /// Elements between neighbours along `axis`.
  i64 stride(int axis) const { return impl().strides[shape().checked_axis(axis)]; }
  bool is_contiguous() const;
  bool read_only() const { return impl().storage->read_only(); }

  Backend& backend() const { return impl().storage->backend(); }

  /// Arguments of kernels: the elements of a contiguous tensor, at the device's addresses. T must
  /// be the C++ type of the dtype (float, u16 for bf16 and f16, i32, i64, i8, u8, double). The
  /// mutable forms refuse read-only storage.
  template <class T>
  std::span<T> span() const {
    return {static_cast<T*>(checked_data(dtype_code<T>(), !std::is_const_v<T>, true)),
            static_cast<std::size_t>(numel())};
  }
  std::span<const float> in() const { return span<const float>(); }
  std::span<float> out() const { return span<float>(); }
  /// The address of element 0, contiguous or not.
  template <class T>
  T* data() const {
    return static_cast<T*>(checked_data(dtype_code<T>(), !std::is_const_v<T>, false));
  }
  const void* raw() const;

  /// The elements on the host, copied out of the device, in order whatever the strides: f32, bf16
  /// and f16 as floats.
  std::vector<float> to_vector() const;
  /// The same of any type, by its C++ type.
  template <class T>
  std::vector<T> copy_out() const {
    INLAY_ASSERT(dtype_code<T>() == code_of_dtype());
    std::vector<T> values(static_cast<std::size_t>(numel()));
    copy_bytes_out(std::as_writable_bytes(std::span(values)));
    return values;
  }
  /// The bytes of the elements, in order, from byte `offset` on.
  void copy_bytes_out(std::span<std::byte> to, i64 offset = 0) const;
  /// Overwrites the elements of a contiguous tensor with bytes of the host.
  void copy_bytes_in(std::span<const std::byte> from) const;
  /// The only element of a one-element f32 tensor.
  float item() const;
  /// The elements of a contiguous f32 tensor where they are, on a device whose memory the host may
  /// touch: for tests and benchmarks.
  std::span<const float> values() const;
  std::span<float> mutable_values() const;

  /// Views: the same storage, no data moved, nothing recorded (the recorded ones are in
  /// core/ops/shape.h).
  Tensor view(const Shape& shape) const;             // contiguous tensors
  Tensor slice(int axis, i64 begin, i64 end) const;  // [begin, end) of an axis
  Tensor transpose(int a, int b) const;

  /// The first bytes of this tensor's memory as `shape` elements of another type, contiguous. For
  /// what was written over a tensor that is no longer needed.
  Tensor overlaid(const Shape& shape, DType dtype) const;

  /// This tensor if it is contiguous, else a contiguous copy.
  Tensor contiguous() const;
  Tensor clone() const;
  /// Converted element by element (f32, bf16, f16 among each other); this tensor itself when
  /// nothing changes.
  Tensor to(DType dtype) const;
  /// The same elements without autograd's knowledge of them.
  Tensor detach() const;
  /// Overwrites the elements with those of `source`: same shape and type; either may be strided.
  void copy_from(const Tensor& source) const;

  bool requires_grad() const;
  /// Makes this tensor a leaf whose gradient is wanted (or no longer wanted). Returns the tensor
  /// itself.
  const Tensor& set_requires_grad(bool wanted) const;
  /// The gradient accumulated by backward(), or an undefined tensor.
  Tensor grad() const;
  void set_grad(Tensor grad) const;

  /// True when no other tensor shares the storage: it may be overwritten in place.
  bool is_unique() const;
  bool same_storage(const Tensor& other) const { return impl().storage == other.impl().storage; }
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }

  /// For core/autograd.
  std::shared_ptr<AutogradMeta>& autograd() const { return impl().autograd; }

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    Shape shape;
    std::array<i64, Shape::kMaxRank> strides{};
    i64 offset = 0;  // elements
    i64 numel = 0;
    DType dtype = DType::kF32;
    std::shared_ptr<AutogradMeta> autograd;
  };

  template <class T>
  static constexpr int dtype_code();
  int code_of_dtype() const;
  static Tensor make(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype);
  Impl& impl() const;
  void* checked_data(int code, bool writable, bool contiguous) const;

  std::shared_ptr<Impl> impl_;
};

template <class T>
constexpr int Tensor::dtype_code() {
  using Value = std::remove_const_t<T>;
  // 100 + size for floats, else 10 * signed + size: u16 stands for bf16 and f16 alike.
  return std::is_floating_point_v<Value>
             ? 100 + static_cast<int>(sizeof(Value))
             : 10 * static_cast<int>(std::is_signed_v<Value>) + static_cast<int>(sizeof(Value));
}

/// Throws ShapeError `<what>: expected [..], found [..]` unless t has this shape.
void check_shape(std::string_view what, const Tensor& t, const Shape& expected);
/// Throws DTypeError unless t has this dtype.
void check_dtype(std::string_view what, const Tensor& t, DType expected);

/// The kernels of the device that t lies on.
inline const Kernels& on(const Tensor& t) {
  return t.backend().kernels();
}

/// How many of the values are infinite or no numbers; read back from the device. t f32, contiguous.
i64 count_not_finite(const Tensor& t);

}  // namespace inlay
