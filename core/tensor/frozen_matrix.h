// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "core/kernels/gemm.h"
#include "core/kernels/matrix.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// The kernels' view of a dense [rows, cols] tensor of f32, bf16 or f16, contiguous. The tensor
/// must outlive the view.
kernels::MatrixRef matrix_ref(const Tensor& matrix);

/// A [rows, cols] matrix that is never trained, in whatever storage it came: dense floats, 4-bit
/// codes, GGUF blocks. Products and look-ups decode it as they read it; no decoded copy is ever
/// kept. Cheap to copy: it shares its storage.
class FrozenMatrix {
 public:
  FrozenMatrix() = default;
  explicit FrozenMatrix(const Tensor& dense);
  /// A view whose pointers lie in `storage`, which the matrix keeps alive.
  FrozenMatrix(const kernels::MatrixRef& ref, std::vector<Tensor> storage);

  bool defined() const { return ref_.data != nullptr; }
  i64 rows() const { return ref_.rows; }
  i64 cols() const { return ref_.cols; }
  kernels::MatrixFormat format() const { return ref_.format; }
  /// Bytes of storage this matrix occupies, scales included.
  i64 bytes() const;
  const kernels::MatrixRef& ref() const { return ref_; }

  /// The same matrix with row r taken from stored row rows[r].
  FrozenMatrix with_row_map(std::vector<i32> rows) const;
  /// Lays the values down as panels for products of many rows, both ways: twice panels_floats
  /// more memory, and nothing to pack in every step. Copies made from now on share them.
  void prepack(kernels::GemmCompute compute);
  /// The tensor behind a matrix made from one.
  const Tensor& dense() const { return storage_.at(0); }
  /// Rows [begin, end) as f32 [end - begin, cols].
  Tensor decode(i64 begin, i64 end) const;

 private:
  kernels::MatrixRef ref_;
  std::vector<Tensor> storage_;
  std::shared_ptr<const std::vector<i32>> row_map_;
  struct Panels;
  std::shared_ptr<const Panels> panels_;
};

}  // namespace inlay
