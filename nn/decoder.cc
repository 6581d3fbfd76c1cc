// SPDX-License-Identifier: Apache-2.0
#include "nn/decoder.h"

#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/ops/softcap.h"

namespace inlay {
namespace {

Tensor maybe_dropout(Tensor x, float p, const Pass& pass, const char* what, i64 layer) {
  if (!pass.training || p == 0.0F) {
    return x;
  }
  return dropout(x, p, pass.dropout.with(what).with(static_cast<u64>(layer)), pass.keep);
}

Tensor maybe_scale(Tensor x, float factor) {
  return factor == 1.0F ? x : scale(std::move(x), factor);
}

Tensor maybe_norm(const std::optional<Norm>& norm, const Tensor& x, const Pass& pass) {
  return norm ? norm->forward(x, pass) : x;
}

std::optional<Norm> make_norm(const DecoderPlan& model, const std::string& layer,
                              const std::string& name, WeightSource& weights) {
  if (name.empty()) {
    return {};
  }
  return std::optional<Norm>(std::in_place, model.norm, dotted(layer, name),
                             model.sizes.hidden_size, weights);
}

void visit_norm(std::optional<Norm>& norm, Visitor& visitor, const std::string& name) {
  if (norm) {
    norm->visit(visitor, name);
  }
}

struct MixerPlace {
  i64 layer;
  std::string name;
  i64 hidden_size;
  DecoderLayer::Rotaries rotaries;
};

std::unique_ptr<SequenceMixer> make_mixer(const SelfAttentionPlan& plan, const MixerPlace& place,
                                          WeightSource& weights) {
  return std::make_unique<SelfAttention>(plan, place.layer, place.name, place.hidden_size,
                                         plan.rope ? place.rotaries[*plan.rope] : nullptr, weights);
}

// By the head's products: of 8 bits they are not.
Pass head_pass(const Pass& pass) {
  Pass head = pass;
  head.compute = unquantised(pass.compute);
  return head;
}

}  // namespace

DecoderLayer::DecoderLayer(const DecoderPlan& model, i64 index, const std::string& name,
                           Rotaries rotaries, WeightSource& weights)
    : plan_(model.layers[index]),
      index_(index),
      mixing_{make_norm(model, name, plan_.mixer_norms.before, weights),
              make_norm(model, name, plan_.mixer_norms.after, weights), "resid_attn",
              plan_.mixer_dropout ? plan_.residual_dropout : std::nullopt},
      mixer_(std::visit(
          [&](const auto& mixer) {
            return make_mixer(
                mixer, {index, dotted(name, plan_.mixer_name), model.sizes.hidden_size, rotaries},
                weights);
          },
          plan_.mixer)),
      feeding_{make_norm(model, name, plan_.mlp_norms.before, weights),
               make_norm(model, name, plan_.mlp_norms.after, weights), "resid_mlp",
               plan_.residual_dropout},
      experts_(plan_.experts ? std::make_unique<Experts>(*plan_.experts, model.norm, name,
                                                         model.sizes.hidden_size, weights)
                             : nullptr) {
  if (plan_.mlp.width > 0) {
    mlp_.emplace(plan_.mlp, dotted(name, plan_.mlp_name), model.sizes.hidden_size, weights);
    if (!plan_.mlp_own_norm.empty()) {
      mlp_own_norm_.emplace(model.norm, dotted(name, plan_.mlp_own_norm), model.sizes.hidden_size,
                            weights);
    }
  }
  if (model.layer_inputs.width > 0) {
    input_gate_.emplace(model.layer_inputs, model.norm, name, model.sizes.hidden_size,
                        model.init_std, weights);
  }
  if (!plan_.scalar.empty()) {
    scalar_ = weights.optional_vector(dotted(name, plan_.scalar), 1);
    factor_ = scalar_.defined() ? scalar_.to_vector()[0] : 1.0F;
  }
}

Tensor DecoderLayer::fed(const Tensor& residual, const Tensor& x, const Tensor& whole,
                         const Pass& pass) const {
  Tensor y = residual;
  if (mlp_ && mlp_own_norm_) {
    y = mlp_own_norm_->forward(mlp_->forward({}, x, pass), pass);
    y = residual.defined() ? add(std::move(y), residual) : y;
  } else if (mlp_) {
    y = mlp_->forward(residual, x, pass);
  }
  return experts_ != nullptr ? experts_->forward(y, x, whole, pass) : y;
}

Tensor DecoderLayer::add_to(const Tensor& x, const Branch& branch, Tensor y,
                            const Pass& pass) const {
  const bool as_it_is = plan_.residual_multiplier == 1.0F && !branch.dropout;
  if (branch.after && as_it_is) {
    return branch.after->forward_onto(x, y, pass);
  }
  y = maybe_norm(branch.after, y, pass);
  if (!branch.dropout) {
    return as_it_is ? add(std::move(y), x) : add_scaled(x, y, plan_.residual_multiplier);
  }
  y = maybe_scale(std::move(y), plan_.residual_multiplier);
  return add(maybe_dropout(std::move(y), *branch.dropout, pass, branch.dropout_name, index_), x);
}

template <class Part>
Tensor DecoderLayer::add_branch(const Branch& branch, const Part& part, const Tensor& x,
                                const Pass& pass) const {
  // The last product of a part adds to x by itself where nothing stands between the two.
  if (!branch.after && plan_.residual_multiplier == 1.0F && !branch.dropout) {
    return part(x, maybe_norm(branch.before, x, pass));
  }
  return add_to(x, branch, part({}, maybe_norm(branch.before, x, pass)), pass);
}

Tensor DecoderLayer::forward_parallel(const Tensor& x, const Pass& pass) const {
  const Tensor normed = maybe_norm(mixing_.before, x, pass);
  const Tensor fed_from = feeding_.before ? feeding_.before->forward(x, pass) : normed;
  const auto mix = [&](const Tensor& residual) { return mixer_->forward(residual, normed, pass); };
  const auto feed = [&](const Tensor& residual) { return fed(residual, fed_from, x, pass); };
  // As in add_branch.
  const auto onto = [&](const Tensor& to, const Branch& branch, const auto& part) {
    const bool nothing_between =
        !branch.after && plan_.residual_multiplier == 1.0F && !branch.dropout;
    return nothing_between ? part(to) : add_to(to, branch, part(Tensor()), pass);
  };
  return onto(onto(x, mixing_, mix), feeding_, feed);
}

Tensor DecoderLayer::forward(Tensor x, const Tensor& input, const Pass& pass) const {
  x = plan_.parallel ? forward_parallel(x, pass) : forward_sequential(std::move(x), pass);
  if (input_gate_) {
    x = input_gate_->forward(x, input, pass);
  }
  return maybe_scale(std::move(x), factor_);
}

Tensor DecoderLayer::forward_sequential(Tensor x, const Pass& pass) const {
  const auto mix = [&](const Tensor& residual, const Tensor& from) {
    return mixer_->forward(residual, from, pass);
  };
  const Tensor middle = add_branch(mixing_, mix, x, pass);
  const auto feed = [&](const Tensor& residual, const Tensor& from) {
    return fed(residual, from, middle, pass);
  };
  x = Tensor();  // gone before the widest values of the layer come, unless backward keeps it
  return add_branch(feeding_, feed, middle, pass);
}

void DecoderLayer::visit(Visitor& visitor, const std::string& name) {
  visit_norm(mixing_.before, visitor, dotted(name, plan_.mixer_norms.before));
  mixer_->visit(visitor, dotted(name, plan_.mixer_name));
  visit_norm(mixing_.after, visitor, dotted(name, plan_.mixer_norms.after));
  visit_norm(feeding_.before, visitor, dotted(name, plan_.mlp_norms.before));
  if (mlp_) {
    mlp_->visit(visitor, dotted(name, plan_.mlp_name));
    visit_norm(mlp_own_norm_, visitor, dotted(name, plan_.mlp_own_norm));
  }
  if (experts_ != nullptr) {
    experts_->visit(visitor, name);
  }
  visit_norm(feeding_.after, visitor, dotted(name, plan_.mlp_norms.after));
  if (input_gate_) {
    input_gate_->visit(visitor, name);
  }
  if (scalar_.defined()) {
    visitor.buffer(dotted(name, plan_.scalar), scalar_);
  }
}

DecoderModel::DecoderModel(std::string family, const DecoderPlan& plan, WeightSource& weights)
    : family_(std::move(family)),
      plan_(plan),
      embedding_(weights.embedding(plan.names.embedding, plan.sizes.vocab_size,
                                   plan.sizes.hidden_size, plan.init_std)),
      positions_(plan.names.positions.empty()
                     ? nullptr
                     : weights.embedding(plan.names.positions, plan.sizes.max_positions,
                                         plan.sizes.hidden_size, plan.init_std)),
      embedding_norm_(make_norm(plan, "", plan.names.embedding_norm, weights)),
      norm_(plan.norm, plan.names.norm, plan.sizes.hidden_size, weights) {
  if (plan.rounds_embedding_multiplier) {
    plan_.embedding_multiplier = rounded_to(embedding_->dtype(), plan.embedding_multiplier);
  }
  std::vector<std::shared_ptr<const RotaryEmbedding>> rotaries;
  for (const RopePlan& rope : plan.ropes) {
    const Tensor divisors = rope.divisors.empty()
                                ? Tensor()
                                : weights.optional_vector(rope.divisors, rope.config.pairs());
    rotaries.push_back(std::make_shared<const RotaryEmbedding>(
        rope.config, divisors.defined() ? divisors.to_vector() : std::vector<float>()));
    if (rope.config.type == RopeType::kLongrope && rope.config.outgrown_anew) {
      plan_.sizes.outgrown_beyond = rope.config.original_max_positions;
    }
  }
  for (i64 index = 0; index < std::ssize(plan.layers); ++index) {
    layers_.push_back(std::make_unique<DecoderLayer>(
        plan, index, str(plan.names.layers, ".", index), rotaries, weights));
  }
  if (plan.layer_inputs.width > 0) {
    layer_inputs_.emplace(plan.layer_inputs, plan.norm, std::ssize(plan.layers),
                          plan.sizes.hidden_size, plan.init_std, weights);
  }
  head_ = make_head(plan.names.head, plan.tied_head, plan.names.embedding, *embedding_,
                    plan.init_std, weights);
}

void DecoderModel::visit(Visitor& visitor, const std::string& name) {
  visitor.embedding(dotted(name, plan_.names.embedding), embedding_);
  if (positions_ != nullptr) {
    visitor.embedding(dotted(name, plan_.names.positions), positions_);
  }
  visit_norm(embedding_norm_, visitor, dotted(name, plan_.names.embedding_norm));
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->visit(visitor, dotted(name, str(plan_.names.layers, ".", i)));
  }
  norm_.visit(visitor, dotted(name, plan_.names.norm));
  if (layer_inputs_) {
    layer_inputs_->visit(visitor, name);
  }
  visitor.linear(dotted(name, plan_.names.head), head_);
}

Tensor DecoderModel::embed(const Pass& pass) const {
  Tensor x =
      maybe_scale(embedding_->forward(pass.tokens->id_list(), pass), plan_.embedding_multiplier);
  if (positions_ != nullptr) {
    x = add(std::move(x), positions_->forward(pass.tokens->position_list(), pass));
  }
  return maybe_dropout(maybe_norm(embedding_norm_, x, pass), plan_.embedding_dropout, pass, "embd",
                       0);
}

Tensor DecoderModel::run_layer(std::size_t i, Tensor x, const Tensor& input, Lent& lent,
                               const Pass& pass) const {
  const std::unique_ptr<DecoderLayer>& layer = layers_[i];
  const auto* attention = std::get_if<SelfAttentionPlan>(&layer->plan().mixer);
  SharedHeads shared;
  if (attention != nullptr && attention->kv_of && pass.cache == nullptr) {
    shared = lent.at(*attention->kv_of);
  }
  const bool lends = attention != nullptr && attention->lends_kv;
  const auto run = [&layer](const Tensor& from, const Tensor& own_input, SharedHeads& heads,
                            Pass own) {
    own.shared = &heads;
    return layer->forward(from, own_input, own);
  };
  const auto learns = [](const Tensor& t) { return t.defined() && t.requires_grad(); };
  // Below the lowest trainable part nothing is recorded anyway, and there is nothing to recompute.
  // A layer that lends its keys and values has them to keep: it is not run again.
  if (pass.recompute == Recompute::kBlock && !lends && grad_enabled() &&
      (learns(x) || learns(input) || learns(shared.k) || has_trainable(*layer))) {
    return checkpoint(
        [run, pass](std::span<const Tensor> in) {
          SharedHeads heads = {in[2], in[3]};
          return run(in[0], in[1], heads, pass);
        },
        {x, input, shared.k, shared.v});
  }
  Pass own = pass;
  own.shared = &shared;
  x = layer->forward(std::move(x), input, own);
  if (lends && pass.cache == nullptr) {
    lent[static_cast<i64>(i)] = shared;
  }
  return x;
}

Tensor DecoderModel::hidden(const Pass& pass, std::optional<std::span<const i32>> rows) const {
  Tensor x = embed(pass);
  const std::vector<Tensor> inputs =
      layer_inputs_ ? layer_inputs_->forward(x, pass) : std::vector<Tensor>(layers_.size());
  Pass own = pass;
  Lent lent;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (pass.recompute_layers && static_cast<i64>(i) >= *pass.recompute_layers) {
      own.recompute = Recompute::kNone;
    }
    x = run_layer(i, std::move(x), inputs[i], lent, own);
  }
  return norm_.forward(rows ? gather_rows(x, *rows) : x, pass);
}

Tensor DecoderModel::logits(const Tensor& h, const Pass& pass) const {
  Tensor z = maybe_scale(head_->forward(h, head_pass(pass)), plan_.logits_multiplier);
  return plan_.logits_softcap > 0.0F ? softcap(std::move(z), plan_.logits_softcap) : z;
}

DType DecoderModel::logit_gradient(const Pass& pass) const {
  const bool product_alone = plan_.logits_multiplier == 1.0F && plan_.logits_softcap == 0.0F;
  return product_alone && takes_bf16({head_.get()}, head_pass(pass)) ? DType::kBf16 : DType::kF32;
}

SequenceCache DecoderModel::make_cache(i64 slots, i64 capacity) const {
  std::vector<std::unique_ptr<LayerState>> states;
  for (const std::unique_ptr<DecoderLayer>& layer : layers_) {
    states.push_back(layer->mixer().make_state(slots, capacity));
  }
  return {std::move(states), slots, capacity};
}

double DecoderModel::mixing_work(i64 T) const {
  double sum = 0.0;
  for (const std::unique_ptr<DecoderLayer>& layer : layers_) {
    sum += layer->mixer().mixing_work(T);
  }
  return sum;
}

}  // namespace inlay
