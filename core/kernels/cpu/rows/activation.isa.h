// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/activation.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/output_scale.h"
#include "core/types.h"

namespace inlay::kernels {

/// The y of a backward function may be null.
struct ActivationTable {
  void (*forward)(Activation kind, const float* x, float* y, i64 n);
  void (*backward)(Activation kind, const float* x, const float* dy, float* dx, float* y, i64 n);
  void (*gated)(Activation kind, const float* gate, const float* up, float* y, i64 n);
  void (*gated_backward)(Activation kind, const float* gate, const float* up, const float* dy,
                         float* dgate, float* dup, float* y, i64 n);
  // The same for bf16.
  void (*gated_bf16)(Activation kind, const u16* gate, const u16* up, u16* y, i64 n);
  void (*gated_backward_bf16)(Activation kind, const u16* gate, const u16* up, const u16* dy,
                              u16* dgate, u16* dup, u16* y, i64 n);
  /// Rows [row, row + rows) of output_scale.h's.
  void (*scaled_gate)(const ScaledGate<float>& args, i64 row, i64 rows, float* h);
  void (*scaled_gate_bf16)(const ScaledGate<u16>& args, i64 row, i64 rows, u16* h);
  /// The sums of the rows: those of dgate_factors [width], then those of dup_factors.
  void (*scaled_gate_backward)(const ScaledGate<float>& args, const ScaledGateGradients<float>& out,
                               i64 row, i64 rows, float* sums);
  void (*scaled_gate_backward_bf16)(const ScaledGate<u16>& args,
                                    const ScaledGateGradients<u16>& out, i64 row, i64 rows,
                                    float* sums);
};
INLAY_DECLARE_TABLES(ActivationTable, activations)

}  // namespace inlay::kernels
