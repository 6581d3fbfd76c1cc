// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gpt2.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/self_attention.h"

namespace inlay {
namespace {

Tensor maybe_dropout(Tensor x, double p, const Pass& pass, const char* what, i64 layer) {
  if (!pass.training || p == 0.0) {
    return x;
  }
  return dropout(x, static_cast<float>(p), pass.dropout.with(what).with(static_cast<u64>(layer)));
}

class Gpt2Block final : public DecoderBlock {
 public:
  Gpt2Block(const Gpt2Config& c, i64 layer, WeightSource& weights)
      : layer_(layer),
        resid_pdrop_(c.resid_pdrop),
        ln_1_(norm(c, weights, path(layer, "ln_1"))),
        attn_(make_attention(c, layer, weights)),
        ln_2_(norm(c, weights, path(layer, "ln_2"))),
        mlp_(make_mlp(c, layer, weights)) {}

  Tensor forward(Tensor x, const Pass& pass) const override {
    Tensor attended = maybe_dropout(attn_->forward(ln_1_.forward(x), pass), resid_pdrop_, pass,
                                    "resid_attn", layer_);
    const Tensor middle = add(std::move(attended), x);
    x = Tensor();
    Tensor fed = maybe_dropout(mlp_->forward(ln_2_.forward(middle), pass), resid_pdrop_, pass,
                               "resid_mlp", layer_);
    return add(std::move(fed), middle);
  }

  void visit(Visitor& visitor, const std::string& name) override {
    ln_1_.visit(visitor, dotted(name, "ln_1"));
    attn_->visit(visitor, dotted(name, "attn"));
    ln_2_.visit(visitor, dotted(name, "ln_2"));
    mlp_->visit(visitor, dotted(name, "mlp"));
  }

 private:
  static std::string path(i64 layer, const char* part) {
    return str("transformer.h.", layer, ".", part);
  }

  static LayerNorm norm(const Gpt2Config& c, WeightSource& weights, const std::string& name) {
    return {weights.vector(name + ".weight", c.n_embd, 1.0F),
            weights.vector(name + ".bias", c.n_embd, 0.0F),
            static_cast<float>(c.layer_norm_epsilon)};
  }

  // The two products that write to the residual stream start smaller: 2 * n_layer of them add up
  // (GPT-2, section 2.3).
  static LinearSpec conv1d(const Gpt2Config& c, i64 in, i64 out, bool residual) {
    const double shrink = residual ? 1.0 / std::sqrt(2.0 * static_cast<double>(c.n_layer)) : 1.0;
    return {.in = in,
            .out = out,
            .bias = true,
            .layout = WeightLayout::kInOut,
            .init_std = c.initializer_range * shrink};
  }

  static std::unique_ptr<FusedSelfAttention> make_attention(const Gpt2Config& c, i64 layer,
                                                            WeightSource& weights) {
    SelfAttentionSizes s;
    s.layer = layer;
    s.heads = s.kv_heads = c.n_head;
    s.head_dim = c.n_embd / c.n_head;
    double scale = c.scale_attn_weights ? 1.0 / std::sqrt(static_cast<double>(s.head_dim)) : 1.0;
    if (c.scale_attn_by_inverse_layer_idx) {
      scale /= static_cast<double>(layer + 1);
    }
    s.scale = static_cast<float>(scale);
    s.dropout = static_cast<float>(c.attn_pdrop);
    const std::string name = path(layer, "attn");
    auto c_attn = weights.linear(name + ".c_attn", conv1d(c, c.n_embd, 3 * c.n_embd, false));
    auto c_proj = weights.linear(name + ".c_proj", conv1d(c, c.n_embd, c.n_embd, true));
    return std::make_unique<FusedSelfAttention>(s, std::move(c_attn), std::move(c_proj));
  }

  static std::unique_ptr<PlainMlp> make_mlp(const Gpt2Config& c, i64 layer, WeightSource& weights) {
    const std::string name = path(layer, "mlp");
    auto c_fc = weights.linear(name + ".c_fc", conv1d(c, c.n_embd, c.n_inner, false));
    auto c_proj = weights.linear(name + ".c_proj", conv1d(c, c.n_inner, c.n_embd, true));
    return std::make_unique<PlainMlp>(std::move(c_fc), std::move(c_proj), c.activation);
  }

  i64 layer_;
  double resid_pdrop_;
  LayerNorm ln_1_;
  std::unique_ptr<FusedSelfAttention> attn_;
  LayerNorm ln_2_;
  std::unique_ptr<PlainMlp> mlp_;
};

ModelSizes sizes_of(const Gpt2Config& c) {
  return {.vocab_size = c.vocab_size,
          .hidden_size = c.n_embd,
          .layers = c.n_layer,
          .kv_width = c.n_embd,
          .max_positions = c.n_positions,
          .hard_limit = true};
}

class Gpt2 final : public CausalLM {
 public:
  Gpt2(const Gpt2Config& c, WeightSource& weights)
      : CausalLM("gpt2", sizes_of(c)),
        embd_pdrop_(c.embd_pdrop),
        wte_(weights.embedding("transformer.wte", c.vocab_size, c.n_embd, c.initializer_range)),
        wpe_(weights.embedding("transformer.wpe", c.n_positions, c.n_embd, c.initializer_range)),
        ln_f_(weights.vector("transformer.ln_f.weight", c.n_embd, 1.0F),
              weights.vector("transformer.ln_f.bias", c.n_embd, 0.0F),
              static_cast<float>(c.layer_norm_epsilon)) {
    for (i64 layer = 0; layer < c.n_layer; ++layer) {
      blocks_.push_back(std::make_unique<Gpt2Block>(c, layer, weights));
    }
    lm_head_ =
        make_head(c.tie_word_embeddings, "transformer.wte", *wte_, c.initializer_range, weights);
  }

  void visit(Visitor& visitor, const std::string& name) override {
    visitor.embedding(dotted(name, "transformer.wte"), wte_);
    visitor.embedding(dotted(name, "transformer.wpe"), wpe_);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      blocks_[i]->visit(visitor, dotted(name, str("transformer.h.", i)));
    }
    ln_f_.visit(visitor, dotted(name, "transformer.ln_f"));
    visitor.linear(dotted(name, "lm_head"), lm_head_);
  }

 protected:
  Tensor embed(const Pass& pass) const override {
    Tensor words = wte_->forward(pass.tokens->ids, pass);
    Tensor x = add(std::move(words), wpe_->forward(pass.tokens->positions, pass));
    return maybe_dropout(std::move(x), embd_pdrop_, pass, "embd", 0);
  }
  Tensor final_norm(const Tensor& x) const override { return ln_f_.forward(x); }

 private:
  double embd_pdrop_;
  std::unique_ptr<EmbeddingLike> wte_, wpe_;
  LayerNorm ln_f_;
};

}  // namespace

Gpt2Config parse_gpt2_config(const HfConfig& config) {
  Gpt2Config c;
  c.vocab_size = config.integer("vocab_size", 50257);
  c.n_positions = config.integer("n_positions", 1024);
  c.n_embd = config.integer("n_embd", 768);
  c.n_layer = config.layers("n_layer", 12);
  c.n_head = config.integer("n_head", 12);
  c.n_inner = config.integer("n_inner", 4 * c.n_embd);
  if (c.n_embd % c.n_head != 0) {
    config.fail("n_head", str(c.n_head, " does not divide n_embd, ", c.n_embd));
  }
  c.layer_norm_epsilon = config.number("layer_norm_epsilon", 1e-5);
  if (!(c.layer_norm_epsilon >= 0.0)) {
    config.fail("layer_norm_epsilon",
                str("expected a number from 0, found ", c.layer_norm_epsilon));
  }
  c.initializer_range = config.number("initializer_range", 0.02);
  c.attn_pdrop = config.number("attn_pdrop", 0.1);
  c.resid_pdrop = config.number("resid_pdrop", 0.1);
  c.embd_pdrop = config.number("embd_pdrop", 0.1);
  for (const char* key : {"attn_pdrop", "resid_pdrop", "embd_pdrop"}) {
    const double p = config.number(key, 0.1);
    if (!(p >= 0.0 && p < 1.0)) {
      config.fail(key, str("expected a probability in [0, 1), found ", p));
    }
  }
  c.scale_attn_weights = config.flag("scale_attn_weights", true);
  c.scale_attn_by_inverse_layer_idx = config.flag("scale_attn_by_inverse_layer_idx", false);
  c.tie_word_embeddings = config.flag("tie_word_embeddings", true);
  config.refuse_flag("add_cross_attention");
  const std::string act = config.text("activation_function", "gelu_new");
  if (act == "gelu_new" || act == "gelu_pytorch_tanh") {
    c.activation = kernels::Activation::kGeluTanh;
  } else if (act == "gelu") {
    c.activation = kernels::Activation::kGelu;
  } else if (act == "silu" || act == "swish") {
    c.activation = kernels::Activation::kSilu;
  } else {
    config.fail("activation_function",
                str("\"", printable(act),
                    "\" is not supported (gelu_new, gelu_pytorch_tanh, gelu, silu are)"));
  }
  return c;
}

std::unique_ptr<CausalLM> make_gpt2(const Gpt2Config& config, WeightSource& weights) {
  return std::make_unique<Gpt2>(config, weights);
}

}  // namespace inlay
