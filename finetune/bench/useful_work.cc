// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/useful_work.h"

#include "finetune/adapters/adapted_layers.h"
#include "nn/expert_stack.h"

namespace inlay {
namespace {

class ProductCounter final : public Visitor {
 public:
  void embedding(const std::string& /*name*/, std::unique_ptr<EmbeddingLike>& slot) override {
    table_trained_ =
        dynamic_cast<const AdaptedEmbedding*>(slot.get()) == nullptr && has_trainable(*slot);
  }

  void linear(const std::string& /*name*/, std::unique_ptr<LinearLike>& slot) override {
    const i64 size = slot->in_features() * slot->out_features();
    work.parameters += size;
    if (const auto* adapted = dynamic_cast<const AdaptedLinear*>(slot.get())) {
      work.lora_parameters += adapted->update().product_parameters();
    } else if (is_tied(*slot) ? table_trained_ : has_trainable(*slot)) {
      work.trained_parameters += size;
    }
  }

  // Of the experts, those that a token goes through.
  void experts(const std::string& /*name*/, ExpertStack& stack) override {
    const ExpertStackSpec& spec = stack.spec();
    const i64 size = spec.chosen * spec.in * spec.out;
    work.parameters += size;
    for (const ExpertStackUpdate& update : stack.updates()) {
      const i64 rank = update.what.a.dim(0) / spec.experts;
      work.lora_parameters += spec.chosen * rank * (spec.in + spec.out);
    }
    if (stack.updates().empty() && has_trainable(stack)) {
      work.trained_parameters += size;
    }
  }

  UsefulWork work;

 private:
  // A head tied to the embedding has no weight of its own to show.
  static bool is_tied(LinearLike& layer) { return inlay::parameters(layer).empty(); }

  bool table_trained_ = false;
};

}  // namespace

UsefulWork useful_work(CausalLM& model, i64 T) {
  ProductCounter counter;
  model.visit(counter, "");
  counter.work.attention = model.mixing_work(T);
  return counter.work;
}

}  // namespace inlay
