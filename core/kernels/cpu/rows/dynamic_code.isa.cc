// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/dynamic_code.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void decode(const float* values, float absmax, const u8* codes, float* out, i64 n) {
  for (i64 i = 0; i < n; ++i) {
    out[i] = values[codes[i]] * absmax;
  }
}

float largest_size(const float* x, i64 n) {
  Vec largest = Vec::zero();
  sweep(n, [&](i64 i, auto lanes) {
    const Vec value = load(x + i, lanes);
    largest = max(largest, max(value, -value));
  });
  return reduce_max(largest);
}

// The reciprocal of a smaller scale would be infinite, and zero times that no number. So small a
// block turns to zeros.
constexpr float kMinScale = 1e-38F;

float encode(const DynamicSearch& search, const float* x, u8* codes, i64 n) {
  const float absmax = largest_size(x, n);
  const float reciprocal = 1.0F / (absmax > kMinScale ? absmax : kMinScale);
  for (i64 i = 0; i < n; ++i) {
    const float z = x[i] * reciprocal;
    const u8 first = search.first[__builtin_bit_cast(u32, z) >> 16];
    // A piece holds at most one midpoint, so the code is the first of the piece or the one behind
    // it.
    codes[i] = static_cast<u8>(first + (z > search.midpoints[first] ? 1 : 0));
  }
  return absmax;
}

}  // namespace

extern const DynamicCodeTable dynamic_codes = {decode, encode};

}  // namespace inlay::kernels::INLAY_ISA
