// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/frozen_matrix.h"

#include <utility>

#include "core/error.h"
#include "core/parallel.h"

namespace inlay {

kernels::MatrixRef matrix_ref(const Tensor& matrix) {
  if (matrix.rank() != 2) {
    throw ShapeError(str("matrix: expected two axes, found shape ", matrix.shape().to_string()));
  }
  INLAY_ASSERT(matrix.is_contiguous());
  kernels::MatrixRef ref;
  switch (matrix.dtype()) {
    case DType::kF32:
      ref.format = kernels::MatrixFormat::kF32;
      break;
    case DType::kBf16:
      ref.format = kernels::MatrixFormat::kBf16;
      break;
    case DType::kF16:
      ref.format = kernels::MatrixFormat::kF16;
      break;
    default:
      throw DTypeError(
          str("matrix: expected f32, bf16 or f16, found ", dtype_name(matrix.dtype())));
  }
  ref.rows = matrix.dim(0);
  ref.cols = matrix.dim(1);
  ref.data = matrix.raw();
  ref.row_bytes = matrix.dim(1) * size_of(matrix.dtype());
  return ref;
}

FrozenMatrix::FrozenMatrix(const Tensor& dense)
    : ref_(matrix_ref(dense)), storage_{dense.detach()} {}

FrozenMatrix::FrozenMatrix(const kernels::MatrixRef& ref, std::vector<Tensor> storage)
    : ref_(ref), storage_(std::move(storage)) {}

i64 FrozenMatrix::bytes() const {
  i64 sum = 0;
  for (const Tensor& t : storage_) {
    sum += t.bytes();
  }
  return sum;
}

FrozenMatrix FrozenMatrix::with_row_map(std::vector<i32> rows) const {
  INLAY_ASSERT(static_cast<i64>(rows.size()) == this->rows() && ref_.row_map == nullptr);
  FrozenMatrix out = *this;
  out.row_map_ = std::make_shared<const std::vector<i32>>(std::move(rows));
  out.ref_.row_map = out.row_map_->data();
  return out;
}

struct FrozenMatrix::Panels {
  kernels::PackedPanels places;
  Tensor transposed, straight;
};

void FrozenMatrix::prepack(kernels::GemmCompute compute) {
  const MemoryScope scope(MemoryClass::kWeights);
  const auto laid_down = [&](bool transposed) {
    const i64 floats = kernels::panels_floats(ref_, transposed, compute);
    Tensor panels = floats > 0 ? Tensor::empty({floats}) : Tensor();
    if (panels.defined()) {
      kernels::pack_panels(ref_, transposed, compute, panels.mutable_values());
    }
    return panels;
  };
  const auto panels = std::make_shared<Panels>();
  panels->transposed = laid_down(true);
  panels->straight = laid_down(false);
  if (panels->transposed.defined()) {
    panels->places = {compute, panels->transposed.data<const float>(),
                      panels->straight.data<const float>()};
    panels_ = panels;
    ref_.panels = &panels_->places;
  }
}

Tensor FrozenMatrix::decode(i64 begin, i64 end) const {
  Tensor out = Tensor::empty({end - begin, cols()});
  constexpr i64 kRowsATask = 8;
  parallel_rows(end - begin, kRowsATask, [&](i64 first, i64 last) {
    for (i64 r = first; r < last; ++r) {
      kernels::decode_row(ref_, begin + r, 0, cols(), out.data<float>() + r * cols());
    }
  });
  return out;
}

}  // namespace inlay
