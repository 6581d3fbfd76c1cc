// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/activation.h"
#include "core/types.h"

/// Products whose outputs are scaled by columns, beyond what the product does itself (GemmArgs): the
/// way back, and gates that scale what they read. Sums over rows are those of at most kMaxSlices
/// slices of rows, each in f32, added in double in their order: the bits depend on the shape alone.
namespace inlay::kernels {

/// y = z * factors (+ bias), row by row; `bias` may be empty.
void scale_output(std::span<const float> z, std::span<const float> factors,
                  std::span<const float> bias, std::span<float> y);
void scale_output_bf16(std::span<const u16> z, std::span<const float> factors,
                       std::span<const float> bias, std::span<u16> y);

/// Room for the sums of `columns` columns.
i64 column_sums_scratch(i64 rows, i64 columns);

/// Values of f32, or of bf16: one of the two is null.
struct ValuesIn {
  const float* f32 = nullptr;
  const u16* bf16 = nullptr;
};
struct ValuesOut {
  float* f32 = nullptr;
  u16* bf16 = nullptr;
};

/// dz = dy * factors, which may be written over a dy of its type; and dfactors = sums over the rows
/// of dy * z, unless z is null. dy, z and dz [rows, columns]. Of bf16, z and dz are if dy is.
struct ScaleBackward {
  ValuesIn dy, z;
  ValuesOut dz;
  i64 rows = 0, columns = 0;
  std::span<const float> factors;
  std::span<float> dfactors;
};
void scale_output_backward(const ScaleBackward& args, std::span<float> scratch);

/// h = act(s_gate * gate) * (s_up * up), of [rows, width] values whose rows are `stride` apart: two
/// tensors, or the two halves of each row of one. A factor may be null for 1.
template <class Value>
struct ScaledGate {
  Activation activation = Activation::kSilu;
  const Value* gate = nullptr;
  const Value* up = nullptr;
  i64 stride = 0;
  i64 rows = 0, width = 0;
  const float* gate_factors = nullptr;
  const float* up_factors = nullptr;
};
template <class Value>
void scaled_gate(const ScaledGate<Value>& args, std::span<Value> h);

/// dgate and dup, laid out as gate and up and perhaps written over them, and to what is not empty of
/// dgate_factors and dup_factors the gradients of the factors; and h over dh where `wants_h`.
template <class Value>
struct ScaledGateGradients {
  std::span<Value> dh;
  Value* dgate = nullptr;
  Value* dup = nullptr;
  std::span<float> dgate_factors, dup_factors;
  bool wants_h = false;
};
/// Scratch: column_sums_scratch(rows, 2 * width).
template <class Value>
void scaled_gate_backward(const ScaledGate<Value>& args, const ScaledGateGradients<Value>& out,
                          std::span<float> scratch);

}  // namespace inlay::kernels
