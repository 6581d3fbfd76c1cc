// SPDX-License-Identifier: Apache-2.0
#include "quant/finite.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;

// Of the halves and bf16 (u16) and of floats (u32) with all bits of their exponent set.
template <class Bits, Bits kExponent>
i64 count_dense(std::span<const std::byte> data) {
  const std::size_t count = data.size() / sizeof(Bits);
  i64 found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, data.data() + i * sizeof(Bits), sizeof(Bits));
    found += static_cast<Bits>(bits & kExponent) == kExponent ? 1 : 0;
  }
  return found;
}

i64 count_blocks(MatrixFormat format, std::span<const std::byte> data) {
  const kernels::MatrixFormatRow& row = kernels::format_row(format);
  const kernels::BlockSize block = row.block;
  const auto step = static_cast<std::size_t>(block.bytes);
  i64 found = 0;
  for (std::size_t at = 0; at + step <= data.size(); at += step) {
    const bool bad = std::ranges::any_of(row.halves, [&](i32 half) {
      return half >= 0 && count_dense<u16, 0x7C00>(
                              data.subspan(at + static_cast<std::size_t>(half), sizeof(u16))) > 0;
    });
    found += bad ? block.values : 0;
  }
  return found;
}

i64 count_in(MatrixFormat format, std::span<const std::byte> data) {
  switch (format) {
    case MatrixFormat::kF32:
      return count_dense<u32, 0x7F800000>(data);
    case MatrixFormat::kBf16:
      return count_dense<u16, 0x7F80>(data);
    case MatrixFormat::kF16:
      return count_dense<u16, 0x7C00>(data);
    default:
      return count_blocks(format, data);
  }
}

}  // namespace

i64 count_not_finite(MatrixFormat format, std::span<const std::byte> data) {
  // Whole blocks, about a MiB a task.
  const i64 block = kernels::block_size(format).bytes;
  const i64 piece = (i64{1} << 20) / block * block;
  const i64 size = static_cast<i64>(data.size());
  std::vector<i64> found(static_cast<std::size_t>((size + piece - 1) / piece));
  parallel_for(static_cast<i64>(found.size()), [&](i64 task) {
    const i64 begin = task * piece;
    found[task] =
        count_in(format, data.subspan(static_cast<std::size_t>(begin),
                                      static_cast<std::size_t>(std::min(piece, size - begin))));
  });
  i64 sum = 0;
  for (const i64 count : found) {
    sum += count;
  }
  return sum;
}

void require_finite(const std::string& file, const std::string& tensor, MatrixFormat format,
                    std::span<const std::byte> data) {
  const i64 bad = count_not_finite(format, data);
  if (bad > 0) {
    const kernels::BlockSize block = kernels::block_size(format);
    const i64 count = static_cast<i64>(data.size()) / block.bytes * block.values;
    throw DataError(str(printable(file, 300), ": \"", printable(tensor, 200), "\": ", bad,
                        " of its ", count,
                        " values are not finite (NaN or infinity): the file is damaged, or "
                        "the model broke in its training"));
  }
}

}  // namespace inlay
