// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/matrix.h"

#include "core/kernels/cpu/products/matrix_decode.h"
#include "core/parallel.h"

namespace inlay::kernels {
void decode_row(const MatrixRef& m, i64 row, i64 col, i64 count, float* out) {
  if (count == 0) {
    return;  // `out` may be null then
  }
  const i64 stored_row = m.row_map != nullptr ? m.row_map[row] : row;
  const u8* data = static_cast<const u8*>(m.data);
  const MatrixDecoders& decoders = INLAY_SELECT(kMatrixDecoders);
  if (m.format == MatrixFormat::kFourBit) {
    // Its blocks run over the flattened matrix, across the ends of rows.
    decoders.four_bit(data, m.four_bit, stored_row * m.cols + col, count, out);
  } else {
    decoders.row[static_cast<int>(m.format)](data + stored_row * m.row_bytes, col, count, out);
  }
}

void decode_rows(const MatrixRef& m, i64 begin, i64 end, std::span<float> out) {
  constexpr i64 kRowsATask = 8;
  parallel_rows(end - begin, kRowsATask, [&](i64 first, i64 last) {
    for (i64 r = first; r < last; ++r) {
      decode_row(m, begin + r, 0, m.cols, out.data() + r * m.cols);
    }
  });
}

}  // namespace inlay::kernels
