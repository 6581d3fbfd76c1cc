// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/peak.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

// A multiply-add takes four cycles and two can start in each: eight chains keep them busy, and with
// twelve it matters little when one is late. Twelve and two factors fit in 16 registers.
constexpr int kChains = 12;
constexpr int kUnroll = 8;

void fma_chains(i64 steps, float* sink) {
  Vec chain[kChains];
  for (int i = 0; i < kChains; ++i) {
    chain[i] = Vec::set(static_cast<float>(i));
  }
  const Vec factor = Vec::set(0.999F), term = Vec::set(0.5F);
  for (i64 step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int again = 0; again < kUnroll; ++again) {
#pragma GCC unroll 12
      for (int i = 0; i < kChains; ++i) {
        chain[i] = fma(chain[i], factor, term);
      }
    }
  }
  for (int i = 1; i < kChains; ++i) {
    chain[0] = chain[0] + chain[i];
  }
  *sink += reduce_add(chain[0]);
}

float sum_all(const float* values, i64 count) {
  Vec sums[8];
  for (Vec& s : sums) {
    s = Vec::zero();
  }
  for (i64 i = 0; i + 8 * Vec::kLanes <= count; i += 8 * Vec::kLanes) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) {
      sums[v] = sums[v] + Vec::load(values + i + v * Vec::kLanes);
    }
  }
  for (int v = 1; v < 8; ++v) {
    sums[0] = sums[0] + sums[v];
  }
  return reduce_add(sums[0]);
}

}  // namespace

const PeakTable peak_loops = {2.0 * Vec::kLanes * kChains * kUnroll, fma_chains, sum_all};

}  // namespace inlay::kernels::INLAY_ISA
