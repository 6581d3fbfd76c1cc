// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/config/choice.h"
#include "core/kernels/cpu/isa/bf16_products.h"
#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/tensor/dtype.h"
#include "nn/pass.h"

/// The words of a run config for what other folders decide by: each table is all that says how its
/// enumerators are spelt.
namespace inlay {

/// runtime.prepack_weights: whether frozen weights are also kept in the order products read them.
enum class Prepack { kNever, kAuto, kAlways };

/// training.weight_decay_on: which parameters decay.
enum class DecayOn { kWeights, kAll };

/// training.bf16_products: what multiplies operands that were rounded to bf16.
using kernels::Bf16Products;

/// data.special_tokens_in_text: what control tokens spelt out in the data are.
enum class SpeltTokens { kLiteral, kParse };

/// model.dtype and its like: the float types that weights and activations are stored in.
template <>
struct ChoicesOf<DType> {
  static std::span<const Choice<DType>> all();
};
/// training.compute_dtype and its like.
template <>
struct ChoicesOf<GemmCompute> {
  static std::span<const Choice<GemmCompute>> all();
};
template <>
struct ChoicesOf<Bf16Products> {
  static std::span<const Choice<Bf16Products>> all();
};
/// model.attn_implementation.
template <>
struct ChoicesOf<AttentionKind> {
  static std::span<const Choice<AttentionKind>> all();
};
/// training.gradient_checkpointing.
template <>
struct ChoicesOf<Recompute> {
  static std::span<const Choice<Recompute>> all();
};
template <>
struct ChoicesOf<Prepack> {
  static std::span<const Choice<Prepack>> all();
};
template <>
struct ChoicesOf<DecayOn> {
  static std::span<const Choice<DecayOn>> all();
};
template <>
struct ChoicesOf<SpeltTokens> {
  static std::span<const Choice<SpeltTokens>> all();
};

}  // namespace inlay
