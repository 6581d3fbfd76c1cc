// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/ops/linear.h"

/// Several linear maps of one input, and what adapters add to them, in as few passes over memory as
/// products allow.
namespace inlay {

/// x W^T + bias + factor * (x A^T) B^T, with a frozen W: a layer, with or without LoRA (Hu et al.
/// 2021, arXiv:2106.09685, eq. 3).
struct Projection {
  FrozenMatrix weight;  // [out, in], or [in, out]
  WeightLayout layout = WeightLayout::kOutIn;
  Tensor bias;            // [out], or undefined
  Tensor lora_a, lora_b;  // [rank, in] and [out, rank], or both undefined
  float factor = 1.0F;

  i64 in() const { return layout == WeightLayout::kOutIn ? weight.cols() : weight.rows(); }
  i64 out() const { return layout == WeightLayout::kOutIn ? weight.rows() : weight.cols(); }
};

/// The results [..., out] of every projection, in order, as `result`s.
///   x [..., in] f32. Where has_bf16_operands(compute), it may be bf16, and so may the results:
///   then so is the gradient of x, and those of the results.
/// All the x A^T are one product; each update rides in the registers of its x W^T; and backward, dx
/// is one product over all projections:
///   t = x [factor A]^T      y_i = x W_i^T + bias_i + t_i B_i^T
///   u_i = factor dy_i B_i   dx = sum_i dy_i W_i + u [A]   dA = u^T x   dB_i = dy_i^T t_i
/// `compute` is what the products of a row round their operands to (with kInt8, those of an A or a
/// B to bf16); t, u, dA and dB are f32, and the sums over rows, dA and dB, are f32 products. Saved:
/// x (or its recipe) where an A is trained, t, A, B; nothing for the frozen weights.
std::vector<Tensor> project(const Tensor& x, std::span<const Projection> projections,
                            GemmCompute compute, DType result = DType::kF32);

/// addend + the one projection; `addend` [..., out], a residual, gets the gradient as it comes.
Tensor project_onto(const Tensor& addend, const Tensor& x, const Projection& projection,
                    GemmCompute compute);

}  // namespace inlay
