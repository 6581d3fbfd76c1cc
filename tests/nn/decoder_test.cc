// SPDX-License-Identifier: Apache-2.0
#include "nn/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/shape.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"

// Decoders of plans that mix what families have, each against the same arithmetic written out in
// double: results, and gradients by central differences.
namespace inlay {
namespace {

constexpr i64 kHidden = 8;
constexpr i64 kVocab = 7;
constexpr double kScalar = 0.75;  // of each layer that has one

using Row = std::vector<double>;
using Rows = std::vector<Row>;

class Twin {
 public:
  explicit Twin(const DecoderPlan& plan) : plan_(plan) {}

  std::map<std::string, Row> weights;

  Rows logits(const std::vector<i32>& ids) const {
    Rows x;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      Row row = table_row(plan_.names.embedding, ids[t]);
      scale(row, static_cast<double>(plan_.embedding_multiplier));
      if (!plan_.names.positions.empty()) {
        add(row, table_row(plan_.names.positions, static_cast<i64>(t)));
      }
      x.push_back(row);
    }
    if (!plan_.names.embedding_norm.empty()) {
      x = normed(x, plan_.names.embedding_norm);
    }
    for (std::size_t l = 0; l < plan_.layers.size(); ++l) {
      layer(plan_.layers[l], str(plan_.names.layers, ".", l, "."), x);
    }
    const std::string head = plan_.tied_head ? plan_.names.embedding : plan_.names.head;
    Rows z = linear(normed(x, plan_.names.norm), head, kHidden, kVocab);
    for (Row& row : z) {
      scale(row, static_cast<double>(plan_.logits_multiplier));
      cap(row, static_cast<double>(plan_.logits_softcap));
    }
    return z;
  }

 private:
  static void add(Row& a, const Row& b) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      a[i] += b[i];
    }
  }
  static void scale(Row& a, double factor) {
    for (double& v : a) {
      v *= factor;
    }
  }
  static void cap(Row& a, double c) {
    for (double& v : a) {
      v = c > 0.0 ? c * std::tanh(v / c) : v;
    }
  }

  Row table_row(const std::string& name, i64 row) const {
    const Row& table = weights.at(name + ".weight");
    return {table.begin() + row * kHidden, table.begin() + (row + 1) * kHidden};
  }

  Rows linear(const Rows& x, const std::string& name, i64 in, i64 out,
              WeightLayout layout = WeightLayout::kOutIn) const {
    const Row& w = weights.at(name + ".weight");
    const auto bias = weights.find(name + ".bias");
    Rows y(x.size(), Row(out));
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (i64 o = 0; o < out; ++o) {
        double sum = bias != weights.end() ? bias->second[o] : 0.0;
        for (i64 i = 0; i < in; ++i) {
          sum += x[t][i] * w[layout == WeightLayout::kOutIn ? o * in + i : i * out + o];
        }
        y[t][o] = sum;
      }
    }
    return y;
  }

  Rows normed(const Rows& x, const std::string& name) const {
    const Row w = plan_.norm.weight ? weights.at(name + ".weight") : Row(kHidden, 1.0);
    const bool is_layer = plan_.norm.kind == NormKind::kLayer;
    Rows y = x;
    for (Row& row : y) {
      double mean = 0.0;
      double square = 0.0;
      for (const double v : row) {
        mean += is_layer ? v / static_cast<double>(kHidden) : 0.0;
      }
      for (const double v : row) {
        square += (v - mean) * (v - mean) / static_cast<double>(kHidden);
      }
      for (i64 i = 0; i < kHidden; ++i) {
        row[i] = (row[i] - mean) / std::sqrt(square + plan_.norm.eps) *
                 (w[i] + (plan_.norm.plus_one ? 1.0 : 0.0));
        row[i] += is_layer && plan_.norm.bias ? weights.at(name + ".bias")[i] : 0.0;
      }
    }
    return y;
  }

  // Pairs (k, k + D / 2) of each head.
  void turn(Rows& x, const SelfAttentionPlan& a, i64 begin, i64 heads) const {
    const double theta = plan_.ropes[*a.rope].config.theta;
    const i64 half = a.head_dim / 2;
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (i64 h = 0; h < heads; ++h) {
        for (i64 k = 0; k < half; ++k) {
          double& one = x[t][begin + h * a.head_dim + k];
          double& two = x[t][begin + h * a.head_dim + half + k];
          const double angle =
              static_cast<double>(t) *
              std::pow(theta, -2.0 * static_cast<double>(k) / static_cast<double>(a.head_dim));
          const double turned = one * std::cos(angle) - two * std::sin(angle);
          two = two * std::cos(angle) + one * std::sin(angle);
          one = turned;
        }
      }
    }
  }

  Rows attention(const SelfAttentionPlan& a, const std::string& name, const Rows& x) const {
    const i64 q_width = a.q_width();
    const i64 kv_width = a.kv_width();
    Rows qkv;
    if (!a.qkv.empty()) {
      qkv = linear(x, name + a.qkv, kHidden, q_width + 2 * kv_width, a.layout);
    } else {
      qkv = linear(x, name + a.q, kHidden, q_width, a.layout);
      for (const std::string& part : {a.k, a.v}) {
        const Rows more = linear(x, name + part, kHidden, kv_width, a.layout);
        for (std::size_t t = 0; t < x.size(); ++t) {
          qkv[t].insert(qkv[t].end(), more[t].begin(), more[t].end());
        }
      }
    }
    if (a.rope) {
      turn(qkv, a, 0, a.heads);
      turn(qkv, a, q_width, a.kv_heads);
    }
    Rows mixed(x.size(), Row(q_width));
    for (i64 t = 0; t < static_cast<i64>(x.size()); ++t) {
      for (i64 h = 0; h < a.heads; ++h) {
        const i64 kv = q_width + h / (a.heads / a.kv_heads) * a.head_dim;
        const i64 first = a.window > 0 ? std::max<i64>(0, t - a.window + 1) : 0;
        Row scores;
        for (i64 s = first; s <= t; ++s) {
          double score = 0.0;
          for (i64 d = 0; d < a.head_dim; ++d) {
            score += qkv[t][h * a.head_dim + d] * qkv[s][kv + d];
          }
          scores.push_back(score * static_cast<double>(a.scale));
        }
        cap(scores, static_cast<double>(a.softcap));
        double sum = 0.0;
        for (double& score : scores) {
          score = std::exp(score);
          sum += score;
        }
        for (i64 s = first; s <= t; ++s) {
          for (i64 d = 0; d < a.head_dim; ++d) {
            mixed[t][h * a.head_dim + d] += scores[s - first] / sum * qkv[s][kv + kv_width + d];
          }
        }
      }
    }
    return linear(mixed, name + a.o, q_width, kHidden, a.layout);
  }

  static double activated(kernels::Activation kind, double v) {
    switch (kind) {
      case kernels::Activation::kSilu:
        return v / (1.0 + std::exp(-v));
      case kernels::Activation::kGelu:
        return v / 2.0 * (1.0 + std::erf(v / std::numbers::sqrt2));
      case kernels::Activation::kGeluTanh:
        return v / 2.0 *
               (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
      case kernels::Activation::kRelu:
        return std::max(v, 0.0);
      case kernels::Activation::kRelu2:
        return std::max(v, 0.0) * std::max(v, 0.0);
    }
    return 0.0;
  }

  Rows mlp(const MlpPlan& m, const std::string& name, const Rows& x) const {
    Rows wide = linear(x, name + m.first, kHidden, m.fused ? 2 * m.width : m.width, m.layout);
    Rows up = m.up.empty() ? Rows() : linear(x, name + m.up, kHidden, m.width, m.layout);
    if (m.fused) {
      for (Row& row : wide) {
        up.emplace_back(row.begin() + m.width, row.end());
        row.resize(m.width);
      }
    }
    for (std::size_t t = 0; t < x.size(); ++t) {
      for (i64 i = 0; i < m.width; ++i) {
        wide[t][i] = activated(m.activation, wide[t][i]) * (up.empty() ? 1.0 : up[t][i]);
      }
    }
    return linear(wide, name + m.down, m.width, kHidden, m.layout);
  }

  void layer(const LayerPlan& l, const std::string& name, Rows& x) const {
    const Rows input = x;
    const auto before = [&](const std::string& norm, const Rows& from) {
      return norm.empty() ? from : normed(from, name + norm);
    };
    const auto add_to_x = [&](Rows y, const std::string& after) {
      y = after.empty() ? y : normed(y, name + after);
      for (std::size_t t = 0; t < x.size(); ++t) {
        scale(y[t], static_cast<double>(l.residual_multiplier));
        add(x[t], y[t]);
      }
    };
    const Rows mixer_input = before(l.mixer_norms.before, input);
    add_to_x(
        attention(std::get<SelfAttentionPlan>(l.mixer), name + l.mixer_name + ".", mixer_input),
        l.mixer_norms.after);
    const bool shared = l.parallel && l.mlp_norms.before.empty();
    add_to_x(mlp(l.mlp, name + l.mlp_name + ".",
                 shared ? mixer_input : before(l.mlp_norms.before, l.parallel ? input : x)),
             l.mlp_norms.after);
    for (Row& row : x) {
      scale(row, l.scalar.empty() ? 1.0 : kScalar);
    }
  }

  DecoderPlan plan_;
};

// Two layers of everything at its simplest; cases change it.
DecoderPlan simple_plan() {
  DecoderPlan p;
  p.sizes = {.vocab_size = kVocab, .hidden_size = kHidden, .layers = 2, .max_positions = 16};
  p.init_std = 0.5;
  p.ropes = {{{.rotary_dim = 4, .theta = 100.0}, ""}, {{.rotary_dim = 4, .theta = 7.0}, ""}};
  SelfAttentionPlan a;
  a.heads = 4;
  a.kv_heads = 2;
  a.head_dim = 4;
  a.scale = 0.5F;
  a.rope = 0;
  a.init_std = a.o_init_std = 0.4;
  LayerPlan layer;
  layer.mixer = a;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp.width = 6;
  layer.mlp.init_std = layer.mlp.down_init_std = 0.4;
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(2, layer);
  return p;
}

SelfAttentionPlan& attention_of(LayerPlan& layer) {
  return std::get<SelfAttentionPlan>(layer.mixer);
}

// Gemma 2 and 3: norms of 1 + w on both sides, caps, layers of two kinds.
DecoderPlan sandwiched() {
  DecoderPlan p = simple_plan();
  p.norm.plus_one = true;
  p.embedding_multiplier = std::sqrt(static_cast<float>(kHidden));
  p.tied_head = true;
  p.logits_softcap = 3.0F;
  for (LayerPlan& layer : p.layers) {
    layer.mixer_norms.after = "post_attention_layernorm";
    layer.mlp_norms = {"pre_feedforward_layernorm", "post_feedforward_layernorm"};
    layer.mlp.activation = kernels::Activation::kGeluTanh;
    attention_of(layer).softcap = 1.5F;
  }
  attention_of(p.layers[0]).window = 2;
  attention_of(p.layers[0]).rope = 1;
  return p;
}

// Granite.
DecoderPlan multiplied() {
  DecoderPlan p = simple_plan();
  p.embedding_multiplier = 1.75F;
  p.logits_multiplier = 0.25F;
  for (LayerPlan& layer : p.layers) {
    layer.residual_multiplier = 0.625F;
    attention_of(layer).scale = 0.3F;
  }
  return p;
}

// GPT-NeoX and Phi, Cohere: both parts from the layer's input, with a norm each or one for both.
DecoderPlan parallel(bool one_norm) {
  DecoderPlan p = simple_plan();
  p.norm.kind = NormKind::kLayer;
  for (LayerPlan& layer : p.layers) {
    layer.parallel = true;
    layer.mlp_norms.before = one_norm ? "" : "post_attention_layernorm";
    SelfAttentionPlan& a = attention_of(layer);
    a.qkv = "query_key_value";
    a.o = "dense";
    a.kv_heads = a.heads;
    a.qkv_bias = a.o_bias = true;
    layer.mlp.up = "";
    layer.mlp.first = "dense_h_to_4h";
    layer.mlp.down = "dense_4h_to_h";
    layer.mlp.bias = true;
    layer.mlp.activation = kernels::Activation::kGelu;
  }
  return p;
}

// OLMo 3 and EXAONE 4: norms behind the parts alone, a layer without positions; and LayerNorm of
// 1 + w, as Nemotron has it.
DecoderPlan normed_behind() {
  DecoderPlan p = simple_plan();
  p.norm = {.kind = NormKind::kLayer, .plus_one = true};
  for (LayerPlan& layer : p.layers) {
    layer.mixer_norms = {"", "post_attention_layernorm"};
    layer.mlp_norms = {"", "post_feedforward_layernorm"};
  }
  attention_of(p.layers[1]).rope.reset();
  return p;
}

// GPT-2's parts under other names.
DecoderPlan of_learned_positions() {
  DecoderPlan p = simple_plan();
  p.norm.kind = NormKind::kLayer;
  p.names = {"wte", "wpe", "h", "ln_f", "embed_out"};
  p.ropes.clear();
  for (LayerPlan& layer : p.layers) {
    layer.residual_dropout = 0.0F;
    SelfAttentionPlan& a = attention_of(layer);
    a.rope.reset();
    a.qkv = "c_attn";
    a.layout = layer.mlp.layout = WeightLayout::kInOut;
  }
  return p;
}

// nanochat: norms without weights, one of them behind the embedding, and relu^2; gate and up in one
// product, as in Phi-3, and Gemma 4's scalar.
DecoderPlan weightless() {
  DecoderPlan p = simple_plan();
  p.norm.weight = false;
  p.names.embedding_norm = "model.norm";
  for (LayerPlan& layer : p.layers) {
    layer.mlp.first = "gate_up_proj";
    layer.mlp.up = "";
    layer.mlp.fused = true;
    layer.mlp.activation = kernels::Activation::kRelu2;
    layer.scalar = "layer_scalar";
  }
  return p;
}

// Cohere 2: one LayerNorm without a bias for both parts.
DecoderPlan without_biases() {
  DecoderPlan p = simple_plan();
  p.norm = {.kind = NormKind::kLayer, .bias = false};
  for (LayerPlan& layer : p.layers) {
    layer.parallel = true;
    layer.mlp_norms.before = "";
  }
  return p;
}

struct Case {
  std::string name;
  DecoderPlan plan;
};

std::vector<Case> cases() {
  return {{"simple", simple_plan()},
          {"sandwiched", sandwiched()},
          {"multiplied", multiplied()},
          {"parallel, two norms", parallel(false)},
          {"parallel, one norm", parallel(true)},
          {"normed behind", normed_behind()},
          {"learned positions", of_learned_positions()},
          {"weightless", weightless()},
          {"without biases", without_biases()}};
}

// The plan's model, with every weight a leaf and no norm or bias at the value it starts with.
std::unique_ptr<DecoderModel> make(const DecoderPlan& plan) {
  // Scalars of layers are no leaves, and from scratch there are none.
  struct Weights final : WeightSource {
    std::unique_ptr<LinearLike> linear(const std::string& name, const LinearSpec& spec) override {
      return random.linear(name, spec);
    }
    std::unique_ptr<EmbeddingLike> embedding(const std::string& name, i64 rows, i64 width,
                                             double init_std) override {
      return random.embedding(name, rows, width, init_std);
    }
    ExpertStackWeights experts(const std::string& name, const ExpertStackSpec& spec) override {
      return random.experts(name, spec);
    }
    Tensor vector(const std::string& name, i64 size, float initial) override {
      return random.vector(name, size, initial);
    }
    Tensor optional_vector(const std::string& name, i64 size) override {
      return name.ends_with("layer_scalar") ? random.vector(name, size, static_cast<float>(kScalar))
                                            : Tensor();
    }
    bool has(const std::string& name) const override { return random.has(name); }
    bool has_own_head(const std::string& head, const std::string& table) const override {
      return random.has_own_head(head, table);
    }
    RandomWeights random{RandomKey(3)};
  } weights;
  auto model = std::make_unique<DecoderModel>("test", plan, weights);
  for (const NamedTensor& p : parameters(*model)) {
    if (p.value.rank() == 1) {
      Tensor noise = Tensor::empty(p.value.shape());
      on(noise).fill_uniform(noise.out(), RandomKey(5).with(p.name), -0.3F, 0.3F);
      p.value.copy_from(add(p.value, noise));
    }
    p.value.set_requires_grad(true);
  }
  return model;
}

std::vector<double> doubles(const Tensor& t) {
  const std::vector<float> values = t.to_vector();
  return {values.begin(), values.end()};
}

TEST(Decoder, OfAnyPlanMatchesItsTwinAndItsCentralDifferences) {
  const std::vector<i32> ids = {3, 0, 6, 2, 5};
  PackedTokens tokens;
  tokens.append(ids);
  Pass pass;
  pass.tokens = &tokens;
  pass.training = true;
  for (const Case& c : cases()) {
    const auto model = make(c.plan);
    Twin twin(c.plan);
    for (const NamedTensor& p : parameters(*model)) {
      twin.weights[p.name] = doubles(p.value);
    }
    // The loss: logits weighed with fixed numbers.
    Tensor weighing = Tensor::empty({std::ssize(ids), kVocab});
    fill_uniform(weighing.mutable_values(), RandomKey(9), -1.0F, 1.0F);
    const auto loss_of_twin = [&] {
      const Rows z = twin.logits(ids);
      double sum = 0.0;
      for (i64 i = 0; i < weighing.numel(); ++i) {
        sum += z[i / kVocab][i % kVocab] * static_cast<double>(weighing.values()[i]);
      }
      return sum;
    };
    const Tensor z = model->logits(model->hidden(pass), pass);
    const Rows expected = twin.logits(ids);
    for (i64 i = 0; i < z.numel(); ++i) {
      // Two layers of some hundred f32 roundings.
      EXPECT_NEAR(z.values()[i], expected[i / kVocab][i % kVocab], 1e-5) << c.name;
    }
    backward(z, weighing);
    for (const NamedTensor& p : parameters(*model)) {
      ASSERT_TRUE(p.value.grad().defined()) << c.name << ": " << p.name;
      const std::vector<double> gradient = doubles(p.value.grad());
      Row& values = twin.weights[p.name];
      for (std::size_t i = 0; i < values.size(); ++i) {
        constexpr double kStep = 1e-5;
        const double kept = std::exchange(values[i], values[i] + kStep);
        const double above = loss_of_twin();
        values[i] = kept - kStep;
        const double below = loss_of_twin();
        values[i] = kept;
        const double difference = (above - below) / (2.0 * kStep);
        // f32 gradients of some units, over a few hundred additions.
        ASSERT_NEAR(gradient[i], difference, 2e-5 * std::max(1.0, std::abs(difference)))
            << c.name << ": " << p.name << "[" << i << "]";
      }
    }
  }
}

// Tokens in pieces, and two sequences in one pass, give what one pass over each gives.
TEST(Decoder, OfAnyPlanGoesOnWhereItsCacheEnds) {
  const NoGrad guard;
  const std::vector<i32> one = {3, 0, 6, 2, 5, 1};
  const std::vector<i32> other = {4, 4, 1};
  for (const Case& c : cases()) {
    const auto model = make(c.plan);
    SequenceCache cache = model->make_cache(2, 8);
    const auto step = [&](const std::function<void(PackedTokens&)>& fill) {
      PackedTokens tokens;
      fill(tokens);
      Pass pass;
      pass.tokens = &tokens;
      pass.cache = &cache;
      return model->logits(model->hidden(pass), pass);
    };
    const Tensor whole = logits_of(*model, {one, other});
    const auto expect_rows = [&](const Tensor& z, i64 from, i64 of) {
      for (i64 v = 0; v < kVocab; ++v) {
        EXPECT_NEAR(z.values()[from * kVocab + v], whole.values()[of * kVocab + v], 2e-6) << c.name;
      }
    };
    // In slots that are not in the order of the pass.
    step([&](PackedTokens& t) { t.append(std::span(one).first(4), 0, 1); });
    const Tensor second = step([&](PackedTokens& t) {
      t.append(other, 0, 0);
      t.append(std::span(one).subspan(4, 1), 4, 1);
    });
    expect_rows(second, 2, 8);
    expect_rows(second, 3, 4);
    // Back to the second token, and on from there.
    ASSERT_EQ(cache.rewind(1, 2), 2);
    const Tensor again = step([&](PackedTokens& t) { t.append(std::span(one).subspan(2), 2, 1); });
    expect_rows(again, 0, 2);
    expect_rows(again, 3, 5);
  }
}

TEST(Decoder, CountsTheWorkOfItsMixers) {
  DecoderPlan plan = simple_plan();
  plan.layers.resize(1);
  // A token in the middle of 9 sees 5 keys: 4 heads of 4 values, multiplied twice.
  EXPECT_EQ(make(plan)->mixing_work(9), 2.0 * 2.0 * 5.0 * 16.0);
  attention_of(plan.layers[0]).window = 1;
  EXPECT_EQ(make(plan)->mixing_work(9), 2.0 * 2.0 * 16.0);
}

// A state that can only start anew, as a recurrence without a record of its past.
class ForgetfulState final : public LayerState {
 public:
  i64 rewind(i64 /*slot*/, i64 tokens) override { return tokens == held ? tokens : 0; }
  i64 held = 6;
};

class LongMemory final : public LayerState {
 public:
  i64 rewind(i64 /*slot*/, i64 tokens) override { return held = tokens; }
  i64 held = 6;
};

TEST(SequenceCache, GoesBackToWhatEveryLayerCanKeep) {
  for (const bool forgetful_first : {false, true}) {
    auto memory = std::make_unique<LongMemory>();
    const LongMemory& kept = *memory;
    std::vector<std::unique_ptr<LayerState>> layers;
    layers.push_back(std::make_unique<ForgetfulState>());
    layers.insert(forgetful_first ? layers.end() : layers.begin(), std::move(memory));
    SequenceCache cache(std::move(layers), 1, 8);
    EXPECT_EQ(cache.rewind(0, 6), 6);
    EXPECT_EQ(kept.held, 6);
    EXPECT_EQ(cache.rewind(0, 4), 0);
    EXPECT_EQ(kept.held, 0);
  }
}

}  // namespace
}  // namespace inlay
