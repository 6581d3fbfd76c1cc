// SPDX-License-Identifier: Apache-2.0
#include "nn/mixers/self_attention.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/error.h"
#include "core/ops/clamp.h"
#include "core/ops/shape.h"
#include "core/ops/support.h"
#include "nn/mixers/attention_state.h"

namespace inlay {

SelfAttention::SelfAttention(const SelfAttentionPlan& plan, i64 layer, const std::string& name,
                             i64 hidden_size, std::shared_ptr<const RotaryEmbedding> rotary,
                             WeightSource& weights)
    : plan_(plan), layer_(layer), rotary_(std::move(rotary)) {
  LinearSpec spec{
      .in = hidden_size, .bias = plan.qkv_bias, .layout = plan.layout, .init_std = plan.init_std};
  const auto projection = [&](const std::string& part, i64 out, bool turned) {
    spec.out = out;
    spec.rope_head_dim = turned && rotary_ != nullptr ? plan.head_dim : 0;
    return weights.linear(dotted(name, part), spec);
  };
  if (plan.qkv.empty()) {
    q_ = projection(plan.q, plan.q_width(), true);
    if (!plan.kv_of) {
      k_ = projection(plan.k, plan.kv_width(), true);
    }
    if (!plan.kv_of && !plan.v.empty()) {
      v_ = projection(plan.v, plan.kv_width(), false);
    }
  } else {
    qkv_ = projection(plan.qkv, plan.q_width() + 2 * plan.kv_width(), false);
  }
  spec.in = plan.q_width();
  spec.bias = plan.o_bias;
  spec.init_std = plan.o_init_std;
  o_ = projection(plan.o, hidden_size, false);
  INLAY_ASSERT(!plan.qkv_by_head || plan.heads == plan.kv_heads);
  INLAY_ASSERT(plan.clip_qkv == 0.0F || !plan.qk_norm || !plan.qk_norm->after_rope);
  const auto make_norm = [&](const HeadNormPlan& norm, const std::string& part, i64 heads) {
    return std::make_unique<HeadNorms>(norm, dotted(name, part), heads, plan.head_dim, weights);
  };
  if (plan.qk_norm) {
    q_norm_ = make_norm(*plan.qk_norm, plan.qk_norm->q, plan.heads);
  }
  if (plan.qk_norm && !plan.kv_of) {
    k_norm_ = make_norm(*plan.qk_norm, plan.qk_norm->k, plan.kv_heads);
  }
  if (!plan.sinks.empty()) {
    sinks_ = weights.vector(dotted(name, plan.sinks), plan.heads, 0.0F);
  }
  if (plan.v_norm && !plan.kv_of) {
    v_norm_ = make_norm({.weights = HeadNormPlan::kNone, .eps = *plan.v_norm}, "", plan.kv_heads);
  }
}

std::vector<Tensor> SelfAttention::products(const Tensor& x, const Pass& pass) const {
  if (plan_.kv_of) {
    return {q_->forward(x, pass), {}, {}};
  }
  if (qkv_ == nullptr && v_ == nullptr) {
    std::vector<Tensor> parts = forward_together({q_.get(), k_.get()}, x, pass);
    parts.push_back(parts[1]);
    return parts;
  }
  if (qkv_ == nullptr) {
    return forward_together({q_.get(), k_.get(), v_.get()}, x, pass);
  }
  if (plan_.qkv_by_head) {
    const std::array<i64, 3> widths = {plan_.head_dim, plan_.head_dim, plan_.head_dim};
    return split_heads(qkv_->forward(x, pass), plan_.heads, widths);
  }
  const std::array<i64, 3> widths = {plan_.q_width(), plan_.kv_width(), plan_.kv_width()};
  return split_columns(qkv_->forward(x, pass), widths);
}

Tensor SelfAttention::prepared(Tensor x, const std::unique_ptr<HeadNorms>& norm,
                               const std::optional<HeadTurn>& turn, const Pass& pass) const {
  const auto turned = [&](Tensor y) {
    return turn ? rope(std::move(y), turn->head_dim, turn->positions, turn->tables) : y;
  };
  if (plan_.clip_qkv > 0.0F) {
    if (norm != nullptr) {
      x = norm->forward(std::move(x), {}, pass);
    }
    return turned(clamp(x, plan_.clip_qkv, pass.keep));
  }
  return norm != nullptr ? norm->forward(std::move(x), turn, pass) : turned(std::move(x));
}

SelfAttention::Heads SelfAttention::project(const Tensor& x, const Pass& pass) const {
  std::vector<Tensor> parts = products(x, pass);
  std::optional<HeadTurn> q_turn, k_turn;
  if (rotary_ != nullptr) {
    const Indices& positions = pass.tokens->position_list();
    q_turn = HeadTurn{plan_.head_dim, positions, rotary_->query_tables(positions.host())};
    k_turn = HeadTurn{plan_.head_dim, positions, rotary_->tables(positions.host())};
  }
  // Each is given away, so that it may be written over.
  Tensor q = prepared(std::exchange(parts[0], {}), q_norm_, q_turn, pass);
  if (plan_.kv_of) {
    return pass.cache != nullptr ? Heads{std::move(q), {}, {}}
                                 : Heads{std::move(q), pass.shared->k, pass.shared->v};
  }
  Tensor k = prepared(std::exchange(parts[1], {}), k_norm_, k_turn, pass);
  Tensor v = prepared(std::exchange(parts[2], {}), v_norm_, {}, pass);
  if (qkv_ != nullptr && rotary_ != nullptr) {
    // q and k lie elsewhere now: a view of v would keep their part of the product, too.
    v = contiguous(v);
  }
  if (plan_.lends_kv && pass.cache == nullptr) {
    *pass.shared = {k, v};
  }
  return {std::move(q), std::move(k), std::move(v)};
}

Tensor SelfAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                             const Pass& pass) const {
  AttentionOptions options;
  options.heads = plan_.heads;
  options.kv_heads = plan_.kv_heads;
  options.head_dim = plan_.head_dim;
  options.scale = plan_.scale;
  options.window = plan_.window;
  options.softcap = plan_.softcap;
  options.sinks = sinks_;
  options.kind = pass.attention;
  options.keep = pass.keep;
  options.compute = pass.compute == GemmCompute::kF32 ? kernels::AttentionCompute::kF32
                                                      : kernels::AttentionCompute::kBf16;
  if (pass.training && plan_.dropout > 0.0F) {
    options.dropout = plan_.dropout;
    options.dropout_key = pass.dropout.with("attention").with(static_cast<u64>(layer_));
  }
  if (pass.cache != nullptr) {
    auto& state = static_cast<AttentionState&>(pass.cache->layer(plan_.kv_of.value_or(layer_)));
    const AttentionState::View seen =
        plan_.kv_of ? state.view(*pass.tokens) : state.extend(k, v, *pass.tokens);
    return attention(q, seen.k, seen.v, seen.segments, options);
  }
  return attention(q, k, v, pass.tokens->segment_list(), options);
}

Tensor SelfAttention::forward(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  const Heads heads = project(x, pass);
  const Tensor mixed = attend(heads.q, heads.k, heads.v, pass);
  if (!residual.defined()) {
    return o_->forward(mixed, pass);
  }
  Tensor y = forward_onto(residual, *o_, mixed, pass);
  if (pass.recompute == Recompute::kSelective) {
    // Both are held for other reasons; the product is the cheapest of the block.
    set_recipe(y, [this, pass, sr = save(residual, Keep::kExact), so = save(mixed, pass.keep)] {
      return forward_onto(sr.get(), *o_, so.get(), pass);
    });
  }
  return y;
}

std::unique_ptr<LayerState> SelfAttention::make_state(i64 slots, i64 capacity) const {
  return std::make_unique<AttentionState>(plan_.kv_of ? 0 : plan_.kv_width(), slots, capacity);
}

double SelfAttention::mixing_work(i64 T) const {
  // Token t sees min(t, w) keys. A score and its share of the sum are 2 head_dim operations each.
  const i64 w = plan_.window > 0 ? std::min(plan_.window, T) : T;
  const i64 pairs = w * (w + 1) / 2 + (T - w) * w;
  const double keys = static_cast<double>(pairs) / static_cast<double>(std::max<i64>(1, T));
  return 4.0 * keys * static_cast<double>(plan_.q_width());
}

void SelfAttention::visit(Visitor& visitor, const std::string& name) {
  if (qkv_ != nullptr) {
    visitor.linear(dotted(name, plan_.qkv), qkv_);
  } else {
    visitor.linear(dotted(name, plan_.q), q_);
    for (const auto& [part, layer] : {std::pair{&plan_.k, &k_}, std::pair{&plan_.v, &v_}}) {
      if (*layer != nullptr) {
        visitor.linear(dotted(name, *part), *layer);
      }
    }
  }
  if (q_norm_ != nullptr) {
    q_norm_->visit(visitor, dotted(name, plan_.qk_norm->q));
  }
  if (k_norm_ != nullptr) {
    k_norm_->visit(visitor, dotted(name, plan_.qk_norm->k));
  }
  visitor.linear(dotted(name, plan_.o), o_);
  if (sinks_.defined()) {
    visitor.parameter(dotted(name, plan_.sinks), sinks_);
  }
}

}  // namespace inlay
