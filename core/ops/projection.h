// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/ops/linear.h"
#include "core/random.h"

/// Several linear maps of one input, and what adapters add to them, in as few passes over memory as
/// products allow.
namespace inlay {

/// One addition to a layer: factor * B A drop(x), with x [..., in] (Hu et al. 2021,
/// arXiv:2106.09685, eq. 3).
struct LowRankUpdate {
  Tensor a, b;  // [rank, in] and [out, rank]
  float factor = 1.0F;
  /// Value i of x is dropped with this probability, else multiplied by 1 / (1 - dropout); the mask
  /// is a function of the key (`dropout` in elementwise.h) and drawn again in backward.
  float dropout = 0.0F;
  RandomKey dropout_key{0};
};

/// s_out * (x' W^T + the updates of x') + bias with x' = s_in * x and a frozen W: a layer, and what
/// adapters make of it. Without a weight it is the updates alone, of which there must be one.
struct Projection {
  FrozenMatrix weight;  // [out, in], or [in, out]; or undefined
  WeightLayout layout = WeightLayout::kOutIn;
  Tensor bias;  // [out], or undefined
  std::vector<LowRankUpdate> updates;
  Tensor input_scale;   // [in], or undefined for 1
  Tensor output_scale;  // [out], or undefined for 1

  /// In a rehearsal a weight has its sizes and no values.
  bool has_weight() const { return weight.rows() > 0; }
  bool scaled() const { return input_scale.defined() || output_scale.defined(); }
  i64 in() const;
  i64 out() const;
};

/// The results [..., out] of every projection, in order, as `result`s.
///   x [..., in] f32. Where has_bf16_operands(compute), it may be bf16, but not where an input is
///   scaled, and so may the results: then so is the gradient of x, and those of the results.
/// All the x A^T are one product; each update is added while its x W^T is in registers; and
/// backward, dx is one product over all projections. With j over the updates of all of them:
///   t_j = x [factor_j A_j]^T   z_i = x W_i^T + sum_j t_j B_j^T   y_i = s_i z_i + bias_i
///   dz_i = s_i dy_i   u_j = factor_j dz_i B_j   dx = sum_i dz_i W_i + sum_j u_j A_j
///   dA_j = u_j^T x   dB_j = dz_i^T t_j   ds_i = column sums of dy_i z_i
/// Where an update drops values of x, its t_j, u_j A_j and dA_j are f32 products by a kernel that
/// draws the mask on the way (core/kernels/dropped_input.h).
/// An input that is scaled is an input of its own, made before, and its projection is computed
/// apart; ds_in = column sums of dx' x.
/// `compute` is what the products of a row round their operands to (with kInt8, those of an A or a
/// B to bf16); t, u, dA and dB are f32, and the sums over rows, dA and dB, are f32 products. Saved:
/// x (or its recipe) where an A is trained, and z_i where its scale is, as `keep` says; t, A, B;
/// nothing for the frozen weights.
std::vector<Tensor> project(const Tensor& x, std::span<const Projection> projections,
                            GemmCompute compute, DType result = DType::kF32,
                            Keep keep = Keep::kExact);

/// addend + the one projection; `addend` [..., out], a residual, gets the gradient as it comes.
Tensor project_onto(const Tensor& addend, const Tensor& x, const Projection& projection,
                    GemmCompute compute, Keep keep = Keep::kExact);

}  // namespace inlay
