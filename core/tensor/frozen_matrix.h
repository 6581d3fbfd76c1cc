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

/// What a stored [rows, cols] matrix is made of; core/kernels/matrix.h says how its values follow
/// from them. What a format does not have is undefined.
struct MatrixParts {
  kernels::MatrixFormat format = kernels::MatrixFormat::kF32;
  i64 rows = 0, cols = 0;
  i64 row_bytes = 0;  // from one row to the next; not of kFourBit
  Tensor data;        // the elements of a dense matrix, else bytes
  Tensor row_map;     // [rows] i32: row r is stored as row row_map[r]

  // Of kFourBit. The scales are absmax, or with double quantisation the rest.
  Tensor code;  // [16]
  i64 block_size = 64;
  Tensor absmax;         // [blocks]
  Tensor absmax_codes;   // [blocks] u8
  Tensor nested_absmax;  // [ceil(blocks / nested_block_size)]
  Tensor nested_code;    // [256]
  i64 nested_block_size = 256;
  float offset = 0.0F;
  bool low_first = false;
};

/// A [rows, cols] matrix that is never trained, in whatever storage it came: dense floats, 4-bit
/// codes, GGUF blocks. Products and look-ups decode it as they read it; no decoded copy is ever
/// kept. Cheap to copy: it shares its storage.
class FrozenMatrix {
 public:
  FrozenMatrix() = default;
  explicit FrozenMatrix(const Tensor& dense);
  explicit FrozenMatrix(MatrixParts parts);

  bool defined() const { return parts_ != nullptr; }
  /// 0 of an undefined matrix.
  i64 rows() const { return defined() ? parts_->rows : 0; }
  i64 cols() const { return defined() ? parts_->cols : 0; }
  kernels::MatrixFormat format() const { return parts_->format; }
  const MatrixParts& parts() const { return *parts_; }
  /// Bytes of storage this matrix occupies, scales included.
  i64 bytes() const;
  /// The kernels' view, for as long as this object or a copy lives.
  kernels::MatrixRef ref() const;

  /// The same matrix with row r taken from stored row rows[r].
  FrozenMatrix with_row_map(const std::vector<i32>& rows) const;
  /// Keeps the values as panels for products of many rows too, both ways: twice panels_floats more
  /// memory, and nothing to pack in every step. Copies made from now on share them.
  void prepack(kernels::GemmCompute compute);
  /// The tensor behind a matrix made from one.
  const Tensor& dense() const { return parts_->data; }
  /// Rows [begin, end) as f32 [end - begin, cols].
  Tensor decode(i64 begin, i64 end) const;

 private:
  std::shared_ptr<const MatrixParts> parts_;
  struct Panels;
  std::shared_ptr<const Panels> panels_;
};

}  // namespace inlay
