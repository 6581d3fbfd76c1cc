// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include "core/types.h"

// The tile registers of AMX, for the .isa.cc files of the levels with dot products. Two things
// GCC 12 does not know of its own intrinsics: that configuring reads all 64 bytes of the shapes, so
// that a local copy would not be filled in; and that tile loads read what was stored before.
namespace inlay::kernels::INLAY_ISA {
namespace {

#if defined(__AMX_TILE__)

struct alignas(64) TileShapes {  // as LDTILECFG reads it
  u8 palette = 1, start_row = 0, reserved[14] = {};
  u16 row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  u8 rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileShapes kTileShapes = {};

/// While it lives, the thread's eight tile registers are 16 rows of 64 bytes.
class TileRegisters {
 public:
  TileRegisters() { _tile_loadconfig(&kTileShapes); }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

/// Between ordinary stores and the tile loads that read them.
[[gnu::always_inline]] inline void finish_stores() {
  __asm__ volatile("" ::: "memory");
}

#else

struct TileRegisters {};

#endif

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
