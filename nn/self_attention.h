// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "nn/kv_cache.h"
#include "nn/linear.h"
#include "nn/rotary.h"

namespace inlay {

struct SelfAttentionSizes {
  i64 layer = 0;
  i64 heads = 1;
  i64 kv_heads = 1;
  i64 head_dim = 64;
  float scale = 1.0F;
  i64 window = 0;
  float dropout = 0.0F;
};

/// Attention of a pass's tokens on each other, sequence by sequence, and with a cache on what came
/// before.
///   q [N, heads * head_dim]         already turned by RoPE, where the model has it
///   k, v [N, kv_heads * head_dim]   k likewise
Tensor attend(const SelfAttentionSizes& sizes, const Tensor& q, const Tensor& k, const Tensor& v,
              const Pass& pass);

/// q_proj, k_proj, v_proj, RoPE, attention, o_proj, as in Llama.
class RotarySelfAttention final : public Module {
 public:
  struct Parts {
    std::unique_ptr<LinearLike> q_proj, k_proj, v_proj, o_proj;
    std::shared_ptr<const RotaryEmbedding> rotary;
  };
  RotarySelfAttention(const SelfAttentionSizes& sizes, Parts parts);

  /// residual + attention of x
  Tensor forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  SelfAttentionSizes sizes_;
  Parts parts_;
};

/// c_attn (queries, keys and values in one product), attention, c_proj, as in GPT-2.
class FusedSelfAttention final : public Module {
 public:
  FusedSelfAttention(const SelfAttentionSizes& sizes, std::unique_ptr<LinearLike> c_attn,
                     std::unique_ptr<LinearLike> c_proj);

  Tensor forward(const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  SelfAttentionSizes sizes_;
  std::unique_ptr<LinearLike> c_attn_, c_proj_;
};

}  // namespace inlay
