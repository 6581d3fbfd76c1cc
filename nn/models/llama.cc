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
    return {std::move(gate), std::move(up), std::move(down), kernels::Activation::kSilu};
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
        c.rope, divisors.defined() ? divisors.values() : std::span<const float>());
    for (i64 layer = 0; layer < c.num_hidden_layers; ++layer) {
      blocks_.push_back(std::make_unique<LlamaBlock>(c, layer, rotary, weights));
    }
    lm_head_ = c.tie_word_embeddings ? embed_tokens_->tied_head()
                                     : weights.linear("lm_head", {.in = c.hidden_size,
                                                                  .out = c.vocab_size,
                                                                  .init_std = c.initializer_range});
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

RopeType rope_type(const HfConfig& group, const std::string& key) {
  constexpr std::pair<const char*, RopeType> kTypes[] = {{"default", RopeType::kDefault},
                                                         {"linear", RopeType::kLinear},
                                                         {"llama3", RopeType::kLlama3},
                                                         {"yarn", RopeType::kYarn}};
  const std::string type = group.text(key, "default");
  for (const auto& [name, known] : kTypes) {
    if (type == name) {
      return known;
    }
  }
  group.fail(key,
             str("\"", printable(type), "\" is not supported (default, linear, llama3, yarn are)"));
}

}  // namespace

RopeConfig parse_rope(const HfConfig& config, i64 head_dim, i64 max_positions) {
  RopeConfig rope;
  // Transformers 5 keeps everything in rope_parameters; 4 has rope_theta at the top and the rest in
  // rope_scaling.
  std::optional<HfConfig> group = config.object("rope_parameters");
  rope.theta = group && group->has("rope_theta") ? group->number("rope_theta")
                                                 : config.number("rope_theta", 10000.0);
  if (!group) {
    group = config.object("rope_scaling");
  }
  if (!(rope.theta > 0.0)) {
    (group && group->has("rope_theta") ? *group : config)
        .fail("rope_theta", str("expected a number above 0, found ", rope.theta));
  }
  rope.rotary_dim = head_dim;
  if (!group) {
    return rope;
  }
  const std::string key = group->has("rope_type") ? "rope_type" : "type";
  rope.type = rope_type(*group, key);
  const double part = group->number("partial_rotary_factor", 1.0);
  if (!(part > 0.0 && part <= 1.0)) {
    group->fail("partial_rotary_factor",
                str("expected a number above 0 and up to 1, found ", part));
  }
  rope.rotary_dim = static_cast<i64>(static_cast<double>(head_dim) * part);
  if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0) {
    group->fail("partial_rotary_factor", str(part, " of head_dim ", head_dim, " is ",
                                             rope.rotary_dim, ", which is not a number of pairs"));
  }
  if (rope.type == RopeType::kDefault) {
    return rope;
  }
  rope.factor = group->number("factor");
  if (!(rope.factor > 0.0)) {
    group->fail("factor", "expected a number above 0");
  }
  rope.original_max_positions = group->integer("original_max_position_embeddings", max_positions);
  if (rope.type == RopeType::kLlama3) {
    rope.low_freq_factor = group->number("low_freq_factor");
    rope.high_freq_factor = group->number("high_freq_factor");
    if (!(rope.high_freq_factor > rope.low_freq_factor)) {
      group->fail("high_freq_factor", "expected more than low_freq_factor");
    }
  } else if (rope.type == RopeType::kYarn) {
    rope.beta_fast = group->number("beta_fast", 32.0);
    rope.beta_slow = group->number("beta_slow", 1.0);
    rope.truncate = group->flag("truncate", true);
    rope.attention_factor = group->number("attention_factor", 0.0);
    rope.mscale = group->number("mscale", 0.0);
    rope.mscale_all_dim = group->number("mscale_all_dim", 0.0);
  }
  return rope;
}

LlamaConfig parse_llama_config(const HfConfig& config) {
  LlamaConfig c;
  c.vocab_size = config.integer("vocab_size");
  c.hidden_size = config.integer("hidden_size");
  c.intermediate_size = config.integer("intermediate_size");
  c.num_hidden_layers = config.layers("num_hidden_layers");
  c.num_attention_heads = config.integer("num_attention_heads");
  c.num_key_value_heads = config.integer("num_key_value_heads", c.num_attention_heads);
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    config.fail("num_key_value_heads",
                str(c.num_key_value_heads, " does not divide num_attention_heads, ",
                    c.num_attention_heads));
  }
  c.head_dim = config.integer("head_dim", std::max<i64>(1, c.hidden_size / c.num_attention_heads));
  if (c.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", c.head_dim));
  }
  c.max_position_embeddings = config.integer("max_position_embeddings", 2048);
  c.rms_norm_eps = config.number("rms_norm_eps", 1e-6);
  if (!(c.rms_norm_eps >= 0.0)) {
    config.fail("rms_norm_eps", str("expected a number from 0, found ", c.rms_norm_eps));
  }
  c.initializer_range = config.number("initializer_range", 0.02);
  c.attention_dropout = config.number("attention_dropout", 0.0);
  if (!(c.attention_dropout >= 0.0 && c.attention_dropout < 1.0)) {
    config.fail("attention_dropout",
                str("expected a probability in [0, 1), found ", c.attention_dropout));
  }
  c.attention_bias = config.flag("attention_bias", false);
  c.mlp_bias = config.flag("mlp_bias", false);
  c.tie_word_embeddings = config.flag("tie_word_embeddings", false);
  const std::string act = config.text("hidden_act", "silu");
  if (act != "silu" && act != "swish") {
    config.fail("hidden_act", str("\"", printable(act), "\" is not supported (silu is)"));
  }
  c.rope = parse_rope(config, c.head_dim, c.max_position_embeddings);
  return c;
}

std::unique_ptr<CausalLM> make_llama(const LlamaConfig& config, WeightSource& weights) {
  return std::make_unique<Llama>(config, weights);
}

}  // namespace inlay
