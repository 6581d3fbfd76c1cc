// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/frozen_matrix.h"

#include <utility>

#include "core/error.h"
#include "core/tensor/dense_format.h"

namespace inlay {

kernels::MatrixRef matrix_ref(const Tensor& matrix) {
  if (matrix.rank() != 2) {
    throw ShapeError(str("matrix: expected two axes, found shape ", matrix.shape().to_string()));
  }
  INLAY_ASSERT(matrix.is_contiguous());
  kernels::MatrixRef ref;
  const std::optional<kernels::MatrixFormat> format = dense_format(matrix.dtype());
  if (!format) {
    throw DTypeError(str("matrix: expected f32, bf16 or f16, found ", dtype_name(matrix.dtype())));
  }
  ref.format = *format;
  ref.rows = matrix.dim(0);
  ref.cols = matrix.dim(1);
  ref.data = matrix.raw();
  ref.row_bytes = matrix.dim(1) * size_of(matrix.dtype());
  return ref;
}

namespace {

MatrixParts dense_parts(const Tensor& dense) {
  const kernels::MatrixRef ref = matrix_ref(dense);
  MatrixParts parts;
  parts.format = ref.format;
  parts.rows = ref.rows;
  parts.cols = ref.cols;
  parts.row_bytes = ref.row_bytes;
  parts.data = dense.detach();
  return parts;
}

template <class T>
const T* address(const Tensor& t) {
  return t.defined() ? t.data<const T>() : nullptr;
}

}  // namespace

FrozenMatrix::FrozenMatrix(const Tensor& dense) : FrozenMatrix(dense_parts(dense)) {}

FrozenMatrix::FrozenMatrix(MatrixParts parts)
    : parts_(std::make_shared<const MatrixParts>(std::move(parts))) {}

i64 FrozenMatrix::bytes() const {
  i64 sum = 0;
  for (const Tensor* t : {&parts_->data, &parts_->code, &parts_->absmax, &parts_->absmax_codes,
                          &parts_->nested_absmax, &parts_->nested_code}) {
    sum += t->defined() ? t->bytes() : 0;
  }
  return sum;
}

struct FrozenMatrix::Panels {
  kernels::PackedPanels places;
  Tensor transposed, straight;
};

kernels::MatrixRef FrozenMatrix::ref() const {
  const MatrixParts& p = *parts_;
  kernels::MatrixRef ref;
  ref.format = p.format;
  ref.rows = p.rows;
  ref.cols = p.cols;
  ref.data = p.data.raw();
  ref.row_bytes = p.row_bytes;
  ref.row_map = address<i32>(p.row_map);
  if (p.format == kernels::MatrixFormat::kFourBit) {
    ref.four_bit.code = address<float>(p.code);
    ref.four_bit.block_size = p.block_size;
    ref.four_bit.absmax = address<float>(p.absmax);
    ref.four_bit.absmax_codes = address<u8>(p.absmax_codes);
    ref.four_bit.nested_absmax = address<float>(p.nested_absmax);
    ref.four_bit.nested_code = address<float>(p.nested_code);
    ref.four_bit.nested_block_size = p.nested_block_size;
    ref.four_bit.offset = p.offset;
    ref.four_bit.low_first = p.low_first;
  }
  ref.panels = panels_ != nullptr ? &panels_->places : nullptr;
  return ref;
}

FrozenMatrix FrozenMatrix::with_row_map(const std::vector<i32>& rows) const {
  INLAY_ASSERT(static_cast<i64>(rows.size()) == this->rows() && !parts_->row_map.defined());
  const MemoryScope scope(MemoryClass::kWeights);
  MatrixParts parts = *parts_;
  parts.row_map =
      Tensor::from_bytes(std::as_bytes(std::span(rows)), {std::ssize(rows)}, DType::kI32);
  return FrozenMatrix(std::move(parts));
}

void FrozenMatrix::prepack(kernels::GemmCompute compute) {
  const MemoryScope scope(MemoryClass::kWeights);
  const Kernels& device = on(parts_->data);
  const auto packed = [&](bool transposed) {
    const i64 floats = device.panels_floats(ref(), transposed, compute);
    Tensor panels = floats > 0 ? Tensor::empty({floats}) : Tensor();
    if (panels.defined()) {
      device.pack_panels(ref(), transposed, compute, panels.out());
    }
    return panels;
  };
  const auto panels = std::make_shared<Panels>();
  panels->transposed = packed(true);
  panels->straight = packed(false);
  if (panels->transposed.defined()) {
    panels->places = {compute, panels->transposed.data<const float>(),
                      panels->straight.data<const float>()};
    panels_ = panels;
  }
}

Tensor FrozenMatrix::decode(i64 begin, i64 end) const {
  Tensor out = Tensor::empty({end - begin, cols()});
  on(out).decode_rows(ref(), begin, end, out.out());
  return out;
}

}  // namespace inlay
