// SPDX-License-Identifier: Apache-2.0
#include "nn/mixers/self_attention.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/ops/shape.h"
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
    k_ = projection(plan.k, plan.kv_width(), true);
    v_ = projection(plan.v, plan.kv_width(), false);
  } else {
    qkv_ = projection(plan.qkv, plan.q_width() + 2 * plan.kv_width(), false);
  }
  spec.in = plan.q_width();
  spec.bias = plan.o_bias;
  spec.init_std = plan.o_init_std;
  o_ = projection(plan.o, hidden_size, false);
}

SelfAttention::Heads SelfAttention::project(const Tensor& x, const Pass& pass) const {
  std::vector<Tensor> parts;
  if (qkv_ != nullptr) {
    const std::array<i64, 3> widths = {plan_.q_width(), plan_.kv_width(), plan_.kv_width()};
    parts = split_columns(qkv_->forward(x, pass), widths);
  } else {
    parts = forward_together({q_.get(), k_.get(), v_.get()}, x, pass);
  }
  if (rotary_ != nullptr) {
    const Indices& positions = pass.tokens->position_list();
    parts[0] = rope(std::move(parts[0]), plan_.head_dim, positions,
                    rotary_->query_tables(positions.host()));
    parts[1] =
        rope(std::move(parts[1]), plan_.head_dim, positions, rotary_->tables(positions.host()));
  }
  return {std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
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
  options.kind = pass.attention;
  options.keep = pass.keep;
  options.compute = pass.compute == GemmCompute::kF32 ? kernels::AttentionCompute::kF32
                                                      : kernels::AttentionCompute::kBf16;
  if (pass.training && plan_.dropout > 0.0F) {
    options.dropout = plan_.dropout;
    options.dropout_key = pass.dropout.with("attention").with(static_cast<u64>(layer_));
  }
  if (pass.cache != nullptr) {
    auto& state = static_cast<AttentionState&>(pass.cache->layer(layer_));
    const AttentionState::View seen = state.extend(k, v, *pass.tokens);
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
  return std::make_unique<AttentionState>(plan_.kv_width(), slots, capacity);
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
    visitor.linear(dotted(name, plan_.k), k_);
    visitor.linear(dotted(name, plan_.v), v_);
  }
  visitor.linear(dotted(name, plan_.o), o_);
}

}  // namespace inlay
