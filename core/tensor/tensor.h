// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

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

  /// The elements of a contiguous tensor. T must be the C++ type of the dtype (float, u16 for bf16
  /// and f16, i32, i64, i8, u8, double). The mutable forms refuse read-only storage.
  template <class T>
  std::span<T> span() const {
    return {static_cast<T*>(checked_data(dtype_code<T>(), !std::is_const_v<T>, true)),
            static_cast<std::size_t>(numel())};
  }
  /// Address of element 0, contiguous or not.
  template <class T>
  T* data() const {
    return static_cast<T*>(checked_data(dtype_code<T>(), !std::is_const_v<T>, false));
  }
  std::span<const float> values() const { return span<const float>(); }
  std::span<float> mutable_values() const { return span<float>(); }
  const void* raw() const;
  /// The only element of a one-element f32 tensor.
  float item() const;
  std::vector<float> to_vector() const;

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
  /// Overwrites the elements with those of `source` (same shape; f32, contiguous).
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
  static Tensor make(std::shared_ptr<Storage> storage, const Shape& shape, DType dtype);
  Impl& impl() const;
  void* checked_data(int code, bool writable, bool contiguous) const;

  std::shared_ptr<Impl> impl_;
};

template <class T>
constexpr int Tensor::dtype_code() {
  using Value = std::remove_const_t<T>;
  // 4 for floats, else 10 * signed + size: u16 stands for bf16 and f16 alike.
  return std::is_floating_point_v<Value>
             ? 100 + static_cast<int>(sizeof(Value))
             : 10 * static_cast<int>(std::is_signed_v<Value>) + static_cast<int>(sizeof(Value));
}

/// Throws ShapeError `<what>: expected [..], found [..]` unless t has this shape.
void check_shape(std::string_view what, const Tensor& t, const Shape& expected);
/// Throws DTypeError unless t has this dtype.
void check_dtype(std::string_view what, const Tensor& t, DType expected);

}  // namespace inlay
