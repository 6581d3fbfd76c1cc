// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

/// The processor's own bf16 products, so that a test can see that they run: on every thread, and
/// with the tile registers that the operating system grants on request.
struct Bf16Probe {
  /// c[16][16] = sum over k of a[i][k] b[k][j], 32 values of k; b as pairs of k, [16][16][2].
  void (*product)(const u16* a, const u16* b, float* c);
};
INLAY_DECLARE_DOT_TABLES(Bf16Probe, bf16_probe)

}  // namespace inlay::kernels
