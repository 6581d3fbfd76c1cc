// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/kernels/gemm.h"
#include "core/tensor/frozen_matrix.h"

/// Products with weights. Leading axes of x are rows: x [..., in] gives [..., out].
namespace inlay {

using kernels::GemmCompute;
using kernels::unquantised;

/// How a weight is stored: [out, in] as everywhere, or [in, out] as GPT-2's Conv1D.
enum class WeightLayout { kOutIn, kInOut };

/// y = x W^T + bias.
///   x [..., in] f32   weight [out, in] (or [in, out]), f32, bf16 or f16   bias [out] or undefined
/// Saved for backward, as `keep` says: x only when the weight wants a gradient; the weight only
/// when x does.
///   dx = dy W   dW = dy^T x   dbias = column sums of dy
/// Of all products here, `compute` says what their operands are rounded to. With a frozen weight,
/// dy may be bf16 where has_bf16_operands(compute).
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
              WeightLayout layout = WeightLayout::kOutIn, GemmCompute compute = GemmCompute::kF32,
              Keep keep = Keep::kExact);

/// The same with a frozen weight in any storage, decoded inside the product, forward and backward.
/// Saved: nothing of x.
Tensor linear(const Tensor& x, const FrozenMatrix& weight, const Tensor& bias = {},
              GemmCompute compute = GemmCompute::kF32);

/// a [M, K] times b [K, N].
Tensor matmul(const Tensor& a, const Tensor& b);

}  // namespace inlay
