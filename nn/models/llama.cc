// SPDX-License-Identifier: Apache-2.0
#include "nn/models/llama.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "nn/mlp.h"
#include "nn/self_attention.h"

namespace inlay {
namespace {

class LlamaBlock final : public DecoderBlock {
 public:
  LlamaBlock(const LlamaConfig& c, i64 layer, const std::shared_ptr<const RotaryEmbedding>& rotary,
             WeightSource& weights)
      : input_layernorm_(norm(c, weights, path(layer, "input_layernorm"))),
        self_attn_(sizes(c, layer), projections(c, weights, path(layer, "self_attn"), rotary)),
        post_attention_layernorm_(norm(c, weights, path(layer, "post_attention_layernorm"))),
        mlp_(make_mlp(c, weights, path(layer, "mlp"))) {}

  Tensor forward(Tensor x, const Pass& pass) const override {
    const Tensor middle = self_attn_.forward_onto(x, input_layernorm_.forward(x), pass);
    x = Tensor();
    return mlp_.forward_onto(middle, post_attention_layernorm_.forward(middle), pass);
  }

  void visit(Visitor& visitor, const std::string& name) override {
    input_layernorm_.visit(visitor, dotted(name, "input_layernorm"));
    self_attn_.visit(visitor, dotted(name, "self_attn"));
    post_attention_layernorm_.visit(visitor, dotted(name, "post_attention_layernorm"));
    mlp_.visit(visitor, dotted(name, "mlp"));
  }

 private:
  static std::string path(i64 layer, const char* part) {
    return str("model.layers.", layer, ".", part);
  }

  static RmsNorm norm(const LlamaConfig& c, WeightSource& weights, const std::string& name) {
    return {weights.vector(name + ".weight", c.hidden_size, 1.0F),
            static_cast<float>(c.rms_norm_eps)};
  }

  static SelfAttentionSizes sizes(const LlamaConfig& c, i64 layer) {
    SelfAttentionSizes s;
    s.layer = layer;
    s.heads = c.num_attention_heads;
    s.kv_heads = c.num_key_value_heads;
    s.head_dim = c.head_dim;
    s.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)));
    s.dropout = static_cast<float>(c.attention_dropout);
    return s;
  }

  static RotarySelfAttention::Parts projections(
      const LlamaConfig& c, WeightSource& weights, const std::string& name,
      const std::shared_ptr<const RotaryEmbedding>& rotary) {
    const i64 q = c.num_attention_heads * c.head_dim;
    const i64 kv = c.num_key_value_heads * c.head_dim;
    LinearSpec spec{.in = c.hidden_size, .bias = c.attention_bias, .init_std = c.initializer_range};
    RotarySelfAttention::Parts parts;
    spec.rope_head_dim = c.head_dim;
    spec.out = q;
    parts.q_proj = weights.linear(name + ".q_proj", spec);
    spec.out = kv;
    parts.k_proj = weights.linear(name + ".k_proj", spec);
    spec.rope_head_dim = 0;
    parts.v_proj = weights.linear(name + ".v_proj", spec);
    spec.in = q;
    spec.out = c.hidden_size;
    parts.o_proj = weights.linear(name + ".o_proj", spec);
    parts.rotary = rotary;
    return parts;
  }

  static GatedMlp make_mlp(const LlamaConfig& c, WeightSource& weights, const std::string& name) {
    const LinearSpec widen{.in = c.hidden_size,
                           .out = c.intermediate_size,
                           .bias = c.mlp_bias,
                           .init_std = c.initializer_range};
    LinearSpec narrow = widen;
    std::swap(narrow.in, narrow.out);
    auto gate = weights.linear(name + ".gate_proj", widen);
    auto up = weights.linear(name + ".up_proj", widen);
    auto down = weights.linear(name + ".down_proj", narrow);
    return {std::move(gate), std::move(up), std::move(down), c.activation};
  }

  RmsNorm input_layernorm_;
  RotarySelfAttention self_attn_;
  RmsNorm post_attention_layernorm_;
  GatedMlp mlp_;
};

ModelSizes sizes_of(const LlamaConfig& c) {
  return {.vocab_size = c.vocab_size,
          .hidden_size = c.hidden_size,
          .layers = c.num_hidden_layers,
          .kv_width = c.num_key_value_heads * c.head_dim,
          .max_positions = c.max_position_embeddings};
}

class Llama final : public CausalLM {
 public:
  Llama(const LlamaConfig& c, WeightSource& weights)
      : CausalLM("llama", sizes_of(c)),
        embed_tokens_(weights.embedding("model.embed_tokens", c.vocab_size, c.hidden_size,
                                        c.initializer_range)),
        norm_(weights.vector("model.norm.weight", c.hidden_size, 1.0F),
              static_cast<float>(c.rms_norm_eps)) {
    const Tensor divisors = weights.optional_vector("rope_freqs.weight", c.rope.rotary_dim / 2);
    const auto rotary = std::make_shared<const RotaryEmbedding>(
        c.rope, divisors.defined() ? divisors.to_vector() : std::vector<float>());
    for (i64 layer = 0; layer < c.num_hidden_layers; ++layer) {
      blocks_.push_back(std::make_unique<LlamaBlock>(c, layer, rotary, weights));
    }
    lm_head_ = make_head(c.tie_word_embeddings, "model.embed_tokens", *embed_tokens_,
                         c.initializer_range, weights);
  }

  void visit(Visitor& visitor, const std::string& name) override {
    visitor.embedding(dotted(name, "model.embed_tokens"), embed_tokens_);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i]->visit(visitor, dotted(name, str("model.layers.", i)));
    }
    norm_.visit(visitor, dotted(name, "model.norm"));
    visitor.linear(dotted(name, "lm_head"), lm_head_);
  }

 protected:
  Tensor embed(const Pass& pass) const override {
    return embed_tokens_->forward(pass.tokens->ids, pass);
  }
  Tensor final_norm(const Tensor& x) const override { return norm_.forward(x); }

 private:
  std::unique_ptr<EmbeddingLike> embed_tokens_;
  RmsNorm norm_;
};

}  // namespace

std::unique_ptr<CausalLM> make_llama(const LlamaConfig& config, WeightSource& weights) {
  return std::make_unique<Llama>(config, weights);
}

}  // namespace inlay
