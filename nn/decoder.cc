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

std::optional<Norm> make_norm(const NormPlan& plan, const std::string& layer,
                              const std::string& name, i64 size, WeightSource& weights) {
  if (name.empty()) {
    return {};
  }
  return std::optional<Norm>(std::in_place, plan, dotted(layer, name), size, weights);
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

DecoderLayer::DecoderLayer(const LayerPlan& plan, const NormPlan& norm, i64 index,
                           const std::string& name, i64 hidden_size, Rotaries rotaries,
                           WeightSource& weights)
    : plan_(plan),
      index_(index),
      mixing_{make_norm(norm, name, plan.mixer_norms.before, hidden_size, weights),
              make_norm(norm, name, plan.mixer_norms.after, hidden_size, weights), "resid_attn"},
      mixer_(std::visit(
          [&](const auto& mixer) {
            return make_mixer(mixer, {index, dotted(name, plan.mixer_name), hidden_size, rotaries},
                              weights);
          },
          plan.mixer)),
      feeding_{make_norm(norm, name, plan.mlp_norms.before, hidden_size, weights),
               make_norm(norm, name, plan.mlp_norms.after, hidden_size, weights), "resid_mlp"},
      experts_(plan.experts ? std::make_unique<Experts>(*plan.experts, name, hidden_size, weights)
                            : nullptr) {
  if (plan.mlp.width > 0) {
    mlp_.emplace(plan.mlp, dotted(name, plan.mlp_name), hidden_size, weights);
  }
}

Tensor DecoderLayer::fed(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  const Tensor y = mlp_ ? mlp_->forward(residual, x, pass) : residual;
  return experts_ != nullptr ? experts_->forward(y, x, pass) : y;
}

Tensor DecoderLayer::finished(const Branch& branch, Tensor y, const Pass& pass) const {
  if (branch.after) {
    y = branch.after->forward(y, pass);
  }
  y = maybe_scale(std::move(y), plan_.residual_multiplier);
  return maybe_dropout(std::move(y), plan_.residual_dropout.value_or(0.0F), pass,
                       branch.dropout_name, index_);
}

template <class Part>
Tensor DecoderLayer::add_branch(const Branch& branch, const Part& part, const Tensor& x,
                                const Pass& pass) const {
  // The last product of a part adds to x by itself where nothing stands between the two.
  if (!branch.after && plan_.residual_multiplier == 1.0F && !plan_.residual_dropout) {
    return part(x, maybe_norm(branch.before, x, pass));
  }
  return add(finished(branch, part({}, maybe_norm(branch.before, x, pass)), pass), x);
}

Tensor DecoderLayer::forward_parallel(const Tensor& x, const Pass& pass) const {
  const Tensor normed = maybe_norm(mixing_.before, x, pass);
  Tensor mixed = finished(mixing_, mixer_->forward({}, normed, pass), pass);
  const Tensor fed = finished(
      feeding_, this->fed({}, feeding_.before ? feeding_.before->forward(x, pass) : normed, pass),
      pass);
  return add(add(std::move(mixed), x), fed);
}

Tensor DecoderLayer::forward(Tensor x, const Pass& pass) const {
  if (plan_.parallel) {
    return forward_parallel(x, pass);
  }
  const auto mix = [&](const Tensor& residual, const Tensor& from) {
    return mixer_->forward(residual, from, pass);
  };
  const auto feed = [&](const Tensor& residual, const Tensor& from) {
    return fed(residual, from, pass);
  };
  const Tensor middle = add_branch(mixing_, mix, x, pass);
  x = Tensor();  // gone before the widest values of the layer come, unless backward keeps it
  return add_branch(feeding_, feed, middle, pass);
}

void DecoderLayer::visit(Visitor& visitor, const std::string& name) {
  const auto show = [&](std::optional<Norm>& norm, const std::string& part) {
    if (norm) {
      norm->visit(visitor, dotted(name, part));
    }
  };
  show(mixing_.before, plan_.mixer_norms.before);
  mixer_->visit(visitor, dotted(name, plan_.mixer_name));
  show(mixing_.after, plan_.mixer_norms.after);
  show(feeding_.before, plan_.mlp_norms.before);
  if (mlp_) {
    mlp_->visit(visitor, dotted(name, plan_.mlp_name));
  }
  if (experts_ != nullptr) {
    experts_->visit(visitor, name);
  }
  show(feeding_.after, plan_.mlp_norms.after);
}

Decoder::Decoder(std::string family, const DecoderPlan& plan, WeightSource& weights)
    : family_(std::move(family)),
      plan_(plan),
      embedding_(weights.embedding(plan.names.embedding, plan.sizes.vocab_size,
                                   plan.sizes.hidden_size, plan.init_std)),
      positions_(plan.names.positions.empty()
                     ? nullptr
                     : weights.embedding(plan.names.positions, plan.sizes.max_positions,
                                         plan.sizes.hidden_size, plan.init_std)),
      norm_(plan.norm, plan.names.norm, plan.sizes.hidden_size, weights) {
  std::vector<std::shared_ptr<const RotaryEmbedding>> rotaries;
  for (const RopePlan& rope : plan.ropes) {
    const Tensor divisors = rope.divisors.empty()
                                ? Tensor()
                                : weights.optional_vector(rope.divisors, rope.config.pairs());
    rotaries.push_back(std::make_shared<const RotaryEmbedding>(
        rope.config, divisors.defined() ? divisors.to_vector() : std::vector<float>()));
  }
  for (const LayerPlan& layer : plan.layers) {
    const i64 index = static_cast<i64>(layers_.size());
    layers_.push_back(std::make_unique<DecoderLayer>(layer, plan.norm, index,
                                                     str(plan.names.layers, ".", index),
                                                     plan.sizes.hidden_size, rotaries, weights));
  }
  head_ = make_head(plan.names.head, plan.tied_head, plan.names.embedding, *embedding_,
                    plan.init_std, weights);
}

void Decoder::visit(Visitor& visitor, const std::string& name) {
  visitor.embedding(dotted(name, plan_.names.embedding), embedding_);
  if (positions_ != nullptr) {
    visitor.embedding(dotted(name, plan_.names.positions), positions_);
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    layers_[i]->visit(visitor, dotted(name, str(plan_.names.layers, ".", i)));
  }
  norm_.visit(visitor, dotted(name, plan_.names.norm));
  visitor.linear(dotted(name, plan_.names.head), head_);
}

Tensor Decoder::embed(const Pass& pass) const {
  Tensor x =
      maybe_scale(embedding_->forward(pass.tokens->id_list(), pass), plan_.embedding_multiplier);
  if (positions_ != nullptr) {
    x = add(std::move(x), positions_->forward(pass.tokens->position_list(), pass));
  }
  return maybe_dropout(std::move(x), plan_.embedding_dropout, pass, "embd", 0);
}

Tensor Decoder::hidden(const Pass& pass, std::optional<std::span<const i32>> rows) const {
  Tensor x = embed(pass);
  Pass own = pass;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::unique_ptr<DecoderLayer>& layer = layers_[i];
    if (pass.recompute_layers && static_cast<i64>(i) >= *pass.recompute_layers) {
      own.recompute = Recompute::kNone;
    }
    // Below the lowest trainable part nothing is recorded anyway, and there is nothing to
    // recompute.
    if (own.recompute == Recompute::kBlock && grad_enabled() &&
        (x.requires_grad() || has_trainable(*layer))) {
      x = checkpoint([&layer, own](const Tensor& input) { return layer->forward(input, own); }, x);
    } else {
      x = layer->forward(std::move(x), own);
    }
  }
  return norm_.forward(rows ? gather_rows(x, *rows) : x, pass);
}

Tensor Decoder::logits(const Tensor& h, const Pass& pass) const {
  Tensor z = maybe_scale(head_->forward(h, head_pass(pass)), plan_.logits_multiplier);
  return plan_.logits_softcap > 0.0F ? softcap(std::move(z), plan_.logits_softcap) : z;
}

DType Decoder::logit_gradient(const Pass& pass) const {
  const bool product_alone = plan_.logits_multiplier == 1.0F && plan_.logits_softcap == 0.0F;
  return product_alone && takes_bf16({head_.get()}, head_pass(pass)) ? DType::kBf16 : DType::kF32;
}

SequenceCache Decoder::make_cache(i64 slots, i64 capacity) const {
  std::vector<std::unique_ptr<LayerState>> states;
  for (const std::unique_ptr<DecoderLayer>& layer : layers_) {
    states.push_back(layer->mixer().make_state(slots, capacity));
  }
  return {std::move(states), slots, capacity};
}

double Decoder::mixing_work(i64 T) const {
  double sum = 0.0;
  for (const std::unique_ptr<DecoderLayer>& layer : layers_) {
    sum += layer->mixer().mixing_work(T);
  }
  return sum;
}

}  // namespace inlay
