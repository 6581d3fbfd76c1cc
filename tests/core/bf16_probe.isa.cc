// SPDX-License-Identifier: Apache-2.0
#include "tests/core/bf16_probe.h"

#include <immintrin.h>

#include "core/kernels/cpu/isa/amx.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

#if defined(__AMX_BF16__)

void product(const u16* a, const u16* b, float* c) {
  const TileRegisters registers;
  finish_stores();
  _tile_zero(0);
  _tile_loadd(1, a, 64);
  _tile_loadd(2, b, 64);
  _tile_dpbf16ps(0, 1, 2);
  _tile_stored(0, c, 64);
}

#else

void product(const u16* a, const u16* b, float* c) {
  for (i64 i = 0; i < 16; ++i) {
    __m512 sum = _mm512_setzero_ps();
    for (i64 k = 0; k < 16; ++k) {
      i32 pair;
      __builtin_memcpy(&pair, a + i * 32 + 2 * k, sizeof pair);
      const __m512i right = _mm512_loadu_si512(b + k * 32);
      sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                             reinterpret_cast<__m512bh>(right));
    }
    _mm512_storeu_ps(c + i * 16, sum);
  }
}

#endif

}  // namespace

const Bf16Probe bf16_probe = {product};

}  // namespace inlay::kernels::INLAY_ISA
