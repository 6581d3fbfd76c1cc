// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/four_bit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "core/kernels/dynamic_code.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr std::array<float, 16> kNf4Levels = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

// Bit 3 is the sign; -0 is a level of its own.
constexpr std::array<float, 16> kFp4Levels = {
    0.0F,          0.0625F / 12.0F,  8.0F / 12.0F,  1.0F,  //
    4.0F / 12.0F,  6.0F / 12.0F,     2.0F / 12.0F,  3.0F / 12.0F,
    -0.0F,         -0.0625F / 12.0F, -8.0F / 12.0F, -1.0F,  //
    -4.0F / 12.0F, -6.0F / 12.0F,    -2.0F / 12.0F, -3.0F / 12.0F,
};

/// Between neighbouring levels, rounded to f32.
constexpr std::array<float, 15> midpoints(const std::array<float, 16>& levels) {
  std::array<float, 15> out{};
  for (std::size_t k = 0; k < out.size(); ++k) {
    out[k] = (levels[k] + levels[k + 1]) / 2.0F;
  }
  return out;
}
constexpr std::array<float, 15> kNf4Thresholds = midpoints(kNf4Levels);

// bitsandbytes rounds its FP4 thresholds to a few digits: these are its own. Between them lie, from
// zero outwards, the low bits of the code.
constexpr std::array<float, 7> kFp4Thresholds = {0.00260417F, 0.0859375F, 0.20833333F, 0.29166667F,
                                                 0.4166667F,  0.583333F,  0.8333333F};
constexpr std::array<u8, 8> kFp4Codes = {0, 1, 6, 7, 4, 5, 2, 3};

// The number of thresholds below z, by halving: comparisons, but no branches to guess wrong.
u8 nf4_code(float z) {
  u32 code = static_cast<u32>(z > kNf4Thresholds[7]) << 3;
  code += static_cast<u32>(z > kNf4Thresholds[code + 3]) << 2;
  code += static_cast<u32>(z > kNf4Thresholds[code + 1]) << 1;
  code += static_cast<u32>(z > kNf4Thresholds[code]);
  return static_cast<u8>(code);
}

u8 fp4_code(float z) {
  const float magnitude = std::fabs(z);
  u32 below = static_cast<u32>(magnitude > kFp4Thresholds[3]) << 2;
  below += static_cast<u32>(magnitude > kFp4Thresholds[below + 1]) << 1;
  below += static_cast<u32>(magnitude > kFp4Thresholds[below]);
  return static_cast<u8>(kFp4Codes[below] | static_cast<u32>(z < 0.0F) << 3);
}

/// max |x|, or a NaN or infinity if there is one: as integers, magnitudes order like floats with
/// those on top, where a comparison of floats would pass a NaN by.
float largest_magnitude(std::span<const float> values) {
  u32 largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::bit_cast<u32>(value) & 0x7FFFFFFFU);
  }
  return std::bit_cast<float>(largest);
}

/// What brings the values of a block into [-1, 1]: z = x * lift * reciprocal. The reciprocal of a
/// subnormal scale would be infinite, so such blocks are lifted first, by a power of two; 0 for a
/// block of zeros.
struct BlockScale {
  explicit BlockScale(float absmax)
      : lift(absmax < std::numeric_limits<float>::min() ? 0x1p64F : 1.0F),
        reciprocal(absmax == 0.0F ? 0.0F : 1.0F / (absmax * lift)) {}
  float lift, reciprocal;
};

template <class CodeOf>
void pack(std::span<const float> block, BlockScale scale, CodeOf code_of, u8* out) {
  // A product may round to just over 1: the outermost codes have no end, so nothing is clamped.
  const auto code = [&](float x) { return code_of(x * scale.lift * scale.reciprocal); };
  const std::size_t pairs = block.size() / 2;
  for (std::size_t i = 0; i < pairs; ++i) {
    out[i] = static_cast<u8>(code(block[2 * i]) << 4 | code(block[2 * i + 1]));
  }
  if (block.size() % 2 != 0) {
    out[pairs] = static_cast<u8>(code(block.back()) << 4 | code(0.0F));
  }
}

/// Values [first, first + out.size()) of the flattened matrix, row by row.
void decode_flat(const MatrixRef& source, i64 first, std::span<float> out) {
  const auto count = static_cast<i64>(out.size());
  for (i64 done = 0; done < count;) {
    const i64 row = (first + done) / source.cols;
    const i64 col = (first + done) % source.cols;
    const i64 piece = std::min(source.cols - col, count - done);
    decode_row(source, row, col, piece, out.data() + done);
    done += piece;
  }
}

}  // namespace

std::span<const float, 16> four_bit_levels(FourBitType type) {
  return type == FourBitType::kNf4 ? kNf4Levels : kFp4Levels;
}

bool quantize_four_bit_blocks(std::span<const float> values, FourBitType type, i64 block_size,
                              std::span<u8> codes, std::span<float> absmax) {
  const auto size = static_cast<std::size_t>(block_size);
  bool finite = true;
  for (std::size_t begin = 0, b = 0; begin < values.size(); begin += size, ++b) {
    const auto block = values.subspan(begin, std::min(size, values.size() - begin));
    absmax[b] = largest_magnitude(block);
    if (!std::isfinite(absmax[b])) {
      finite = false;  // the scale says so to those who read it; the other blocks are whole
      continue;
    }
    // Block sizes are even: a block begins with a byte.
    if (type == FourBitType::kNf4) {
      pack(block, BlockScale(absmax[b]), nf4_code, &codes[begin / 2]);
    } else {
      pack(block, BlockScale(absmax[b]), fp4_code, &codes[begin / 2]);
    }
  }
  return finite;
}

void quantize_four_bit(const MatrixRef& source, FourBitType type, i64 block_size,
                       std::span<u8> codes, std::span<float> absmax) {
  const i64 count = source.rows * source.cols;
  // A task decodes and codes this many values: 16 KiB of floats, which stay in the first-level
  // cache, and a whole number of blocks.
  constexpr i64 kValuesATask = 4096;
  parallel_for((count + kValuesATask - 1) / kValuesATask, [&](i64 task) {
    std::array<float, kValuesATask> buffer;
    const i64 first = task * kValuesATask;
    const std::span<float> values(buffer.data(),
                                  static_cast<std::size_t>(std::min(kValuesATask, count - first)));
    decode_flat(source, first, values);
    const i64 blocks = (static_cast<i64>(values.size()) + block_size - 1) / block_size;
    quantize_four_bit_blocks(
        values, type, block_size,
        codes.subspan(static_cast<std::size_t>(first / 2), (values.size() + 1) / 2),
        absmax.subspan(static_cast<std::size_t>(first / block_size),
                       static_cast<std::size_t>(blocks)));
  });
}

void quantize_absmax(std::span<const float> absmax, float offset, std::span<u8> codes,
                     std::span<float> nested_absmax) {
  const auto code = dynamic_code_signed();
  const auto count = static_cast<i64>(absmax.size());
  parallel_for(static_cast<i64>(nested_absmax.size()), [&](i64 group) {
    const i64 begin = group * kNestedBlockSize;
    const i64 end = std::min(count, begin + kNestedBlockSize);
    float largest = 0.0F;
    for (i64 i = begin; i < end; ++i) {
      largest = std::max(largest, std::fabs(absmax[i] - offset));
    }
    nested_absmax[group] = largest;
    const float reciprocal = 1.0F / largest;
    for (i64 i = begin; i < end; ++i) {
      // All scales equal to the mean: any code restores them, take the one of zero.
      const float z = largest == 0.0F ? 0.0F : (absmax[i] - offset) * reciprocal;
      codes[i] = nearest_code(code, z);
    }
  });
}

}  // namespace inlay::kernels
