// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/kernels/cpu/isa/amx.h"
#include "core/kernels/cpu/isa/peak.isa.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

#if defined(__AMX_BF16__)

// Four sums of 16 x 16 from two tiles of 16 x 32 pairs' rows and two of columns: a tile's product
// takes 16 cycles and waits only for the sum it adds to.
constexpr double kBf16Flops = 4 * 2.0 * 16 * 16 * 32;
constexpr double kInt8Ops = 4 * 2.0 * 16 * 16 * 64;

void clear_tiles() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

void bf16_chains(i64 steps, float* sink) {
  alignas(64) float sums[16 * 16];
  const TileRegisters registers;
  clear_tiles();
  for (i64 step = 0; step < steps; ++step) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  finish_stores();
  *sink += sums[0];
}

void int8_chains(i64 steps, float* sink) {
  alignas(64) i32 sums[16 * 16];
  const TileRegisters registers;
  clear_tiles();
  for (i64 step = 0; step < steps; ++step) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_stored(0, sums, 64);
  finish_stores();
  *sink += static_cast<float>(sums[0]);
}

#else

// As for multiply-adds; a dot product may take eight cycles where it runs in two halves.
constexpr int kChains = 16;
constexpr double kBf16Flops = kChains * 2.0 * 32;
// GCC 12 copies all chains at the end of a step: four products of each make that small.
constexpr int kInt8Rounds = 4;
constexpr double kInt8Ops = kInt8Rounds * kChains * 2.0 * 64;

void bf16_chains(i64 steps, float* sink) {
  __m512 chain[kChains];
  for (__m512& c : chain) {
    c = _mm512_setzero_ps();
  }
  const __m512bh ones = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3F80));
  for (i64 step = 0; step < steps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      chain[i] = _mm512_dpbf16_ps(chain[i], ones, ones);
    }
  }
  for (int i = 1; i < kChains; ++i) {
    chain[0] = _mm512_add_ps(chain[0], chain[i]);
  }
  *sink += _mm512_cvtss_f32(chain[0]);
}

void int8_chains(i64 steps, float* sink) {
  __m512i chain[kChains];
  for (__m512i& c : chain) {
    c = _mm512_setzero_si512();
  }
  const __m512i ones = _mm512_set1_epi8(1);
  for (i64 step = 0; step < steps; ++step) {
#pragma GCC unroll 64
    for (int i = 0; i < kInt8Rounds * kChains; ++i) {
      chain[i % kChains] = _mm512_dpbusd_epi32(chain[i % kChains], ones, ones);
    }
  }
  for (int i = 1; i < kChains; ++i) {
    chain[0] = _mm512_add_epi32(chain[0], chain[i]);
  }
  *sink += static_cast<float>(_mm512_cvtsi512_si32(chain[0]));
}

#endif

}  // namespace

const DotPeakTable dot_peak_loops = {kBf16Flops, kInt8Ops, bf16_chains, int8_chains};

}  // namespace inlay::kernels::INLAY_ISA
