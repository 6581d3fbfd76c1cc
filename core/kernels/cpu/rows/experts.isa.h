// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct ExpertRowsTable {
  /// h = (u + 1) g sigmoid(alpha g), g = min(gate, limit), u = clamp(up, -limit, limit)
  void (*clamped)(float alpha, float limit, const float* gate, const float* up, float* h, i64 n);
  /// dgate may be gate, dup up; h may be null, or dh.
  void (*clamped_backward)(float alpha, float limit, const float* gate, const float* up,
                           const float* dh, float* dgate, float* dup, float* h, i64 n);
  /// y = factor x, or y += factor x
  void (*scaled)(const float* x, float factor, float* y, i64 n);
  void (*add_scaled)(const float* x, float factor, float* y, i64 n);
  /// In f32 lanes, some hundred values at a time, which then join a double sum.
  double (*dot)(const float* a, const float* b, i64 n);
};
INLAY_DECLARE_TABLES(ExpertRowsTable, expert_rows)

}  // namespace inlay::kernels
