// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nn/linear.h"
#include "nn/mixers/head_norms.h"
#include "nn/mixers/sequence_mixer.h"
#include "nn/rotary.h"
#include "nn/weights.h"

namespace inlay {

/// One layer's self-attention, and what its projections are called.
struct SelfAttentionPlan {
  i64 heads = 1;
  i64 kv_heads = 1;  // query head h reads key and value head h / (heads / kv_heads)
  i64 head_dim = 64;
  float scale = 1.0F;    // of the scores
  i64 window = 0;        // keys a query sees, itself included; 0: all
  float softcap = 0.0F;  // > 0: scores y become softcap * tanh(y / softcap)
  float dropout = 0.0F;
  /// A vector [heads] of the layer: one more score a head, which takes its share of the softmax and
  /// has no value (gpt-oss). Empty: none.
  std::string sinks;
  std::optional<i64> rope;  // which of the model's rotary settings turns q and k; none: they stay
  std::optional<HeadNormPlan> qk_norm;
  std::optional<double> v_norm;  // its eps: v is divided, head by head, by its root mean square
  float clip_qkv = 0.0F;         // > 0: q, k and v are held in [-clip, clip], between norm and RoPE

  /// The projections by their names in the layer. Where `qkv` is not empty, one product gives
  /// queries, keys and values, in this order, and q, k and v do not exist; or, `by_head`, those of
  /// the first head, then those of the next (GPT-NeoX), for as many key as query heads.
  /// `v` empty: values are what `k` gives, before norm and RoPE.
  std::string q = "q_proj", k = "k_proj", v = "v_proj", o = "o_proj";
  std::string qkv;
  bool qkv_by_head = false;
  bool qkv_bias = false, o_bias = false;
  WeightLayout layout = WeightLayout::kOutIn;
  double init_std = 0.02, o_init_std = 0.02;  // from scratch

  /// Keys and values are those of this earlier layer, and k and v do not exist.
  std::optional<i64> kv_of;
  bool lends_kv = false;  // later layers read its keys and values

  i64 q_width() const { return heads * head_dim; }
  i64 kv_width() const { return kv_heads * head_dim; }
};

/// softmax(mask(scale q k^T)) v over all heads, q, k, v = the projections of x, q and k normed and
/// turned by RoPE where the plan says so, and its output projection (Vaswani et al. 2017, arXiv:1706.03762;
/// grouped heads: Ainslie et al. 2023, arXiv:2305.13245).
class SelfAttention final : public SequenceMixer {
 public:
  /// `layer`: the number of the layer in the model; `name`: the whole path of this module, by which
  /// its weights are asked for; hidden_size: C, the width of x and of the result.
  SelfAttention(const SelfAttentionPlan& plan, i64 layer, const std::string& name, i64 hidden_size,
                std::shared_ptr<const RotaryEmbedding> rotary, WeightSource& weights);

  Tensor forward(const Tensor& residual, const Tensor& x, const Pass& pass) const override;
  std::unique_ptr<LayerState> make_state(i64 slots, i64 capacity) const override;
  double mixing_work(i64 T) const override;
  void visit(Visitor& visitor, const std::string& name) override;

  /// Attention of a pass's tokens on each other, sequence by sequence, and with a cache on what
  /// came before.
  ///   q [N, heads * head_dim]   k, v [N, kv_heads * head_dim], already turned
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Pass& pass) const;

 private:
  struct Heads {
    Tensor q, k, v;
  };
  Heads project(const Tensor& x, const Pass& pass) const;
  std::vector<Tensor> products(const Tensor& x, const Pass& pass) const;
  /// What the product q or k is before it is attended with: normed, held in bounds, turned.
  Tensor prepared(Tensor x, const std::unique_ptr<HeadNorms>& norm,
                  const std::optional<HeadTurn>& turn, const Pass& pass) const;

  SelfAttentionPlan plan_;
  i64 layer_;
  std::shared_ptr<const RotaryEmbedding> rotary_;  // null without RoPE
  std::unique_ptr<LinearLike> q_, k_, v_;          // or, in one,
  std::unique_ptr<LinearLike> qkv_;
  std::unique_ptr<LinearLike> o_;
  Tensor sinks_;                                         // undefined where there are none
  std::unique_ptr<HeadNorms> q_norm_, k_norm_, v_norm_;  // null where there is none
};

}  // namespace inlay
