// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/injector.h"

#include <cmath>
#include <utility>

namespace inlay {
namespace {

class Freezer : public Visitor {
 public:
  void parameter(const std::string& /*name*/, Tensor& value) override {
    if (value.defined()) {
      value.set_requires_grad(false);
    }
  }
};

LoraInit init_of(const PeftConfig& config) {
  if (const bool* flag = std::get_if<bool>(&config.init_lora_weights)) {
    return *flag ? LoraInit::kDefault : LoraInit::kRandom;
  }
  return LoraInit::kGaussian;  // the only word that a new adapter may have
}

bool is_kept_table(const std::string& name) {
  const std::string last = name.substr(name.rfind('.') + 1);
  return last == "embed_tokens" || last == "lm_head";
}

}  // namespace

void freeze(CausalLM& model) {
  Freezer freezer;
  model.visit(freezer, "");
}

Tensor trainable_copy(const Tensor& source) {
  const MemoryScope scope(MemoryClass::kAdapters);
  Tensor copy = source.to(DType::kF32);
  if (copy.same_storage(source)) {
    copy = source.clone();
  }
  copy.storage()->set_memory_class(MemoryClass::kAdapters);
  copy.set_requires_grad(true);
  return copy;
}

Tensor checkpoint_weight(const LinearLike& layer) {
  const Tensor weight = layer.weight_rows(0, layer.out_features());
  return layer.checkpoint_layout() == WeightLayout::kInOut ? weight.transpose(0, 1).contiguous()
                                                           : weight;
}

LoraSpec Injector::spec(const ModuleMatcher::Choice& choice) const {
  const double rank = static_cast<double>(choice.rank);
  LoraSpec s;
  s.rank = choice.rank;
  s.scale = options_.scale * choice.alpha / (config_.use_rslora ? std::sqrt(rank) : rank);
  s.dropout = static_cast<float>(config_.lora_dropout);
  s.dora = config_.use_dora;
  s.init = init_of(config_);
  return s;
}

void Injector::wrap_linear(const std::string& name, std::unique_ptr<LinearLike>& slot,
                           const ModuleMatcher::Choice& choice) {
  adapter_.fan_in_fan_out |= slot->checkpoint_layout() == WeightLayout::kInOut;
  auto wrapped = std::make_unique<LoraLinear>(name, std::move(slot), spec(choice), options_.key);
  take(name + ".lora_A.weight", wrapped->lora_a());
  take(name + ".lora_B.weight", wrapped->lora_b());
  if (wrapped->magnitude().defined()) {
    take(name + ".lora_magnitude_vector", wrapped->magnitude());
  }
  note_factors(name, wrapped->out_features(), wrapped->in_features(), choice.rank,
               {wrapped->lora_a(), wrapped->lora_b(), wrapped->magnitude()});
  keep_base(name, wrapped->base(), true);
  slot = std::move(wrapped);
}

void Injector::wrap_embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot,
                              const ModuleMatcher::Choice& choice) {
  auto wrapped = std::make_unique<LoraEmbedding>(name, std::move(slot), spec(choice), options_.key);
  take(name + ".lora_embedding_A", wrapped->lora_a());
  take(name + ".lora_embedding_B", wrapped->lora_b());
  note_factors(name, wrapped->rows(), wrapped->width(), choice.rank,
               {wrapped->lora_a(), wrapped->lora_b()});
  keep_base(name, wrapped->base(), true);
  slot = std::move(wrapped);
}

void Injector::put_linear(const std::string& name, std::unique_ptr<LinearLike>& slot,
                          const Tensor& weight, const Tensor& bias) {
  note_whole(name, slot->out_features(), slot->in_features(),
             weight.numel() + (bias.defined() ? bias.numel() : 0));
  slot = std::make_unique<Linear>(weight, bias, slot->checkpoint_layout());
}

void Injector::put_embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot,
                             const Tensor& table) {
  note_whole(name, table.dim(0), table.dim(1), table.numel());
  slot = std::make_unique<Embedding>(table);
}

void Injector::keep_base(const std::string& name, const LinearLike& below, bool saved) {
  if (is_kept_table(name)) {
    const LinearLike& base = innermost<LoraLinear>(below);
    adapter_.base_tables.push_back(
        {name + (saved ? ".base_layer.weight" : ".weight"),
         [&base](i64 begin, i64 end) { return base.weight_rows(begin, end); }, base.out_features(),
         base.in_features(), saved});
  }
}

void Injector::keep_base(const std::string& name, const EmbeddingLike& below, bool saved) {
  if (is_kept_table(name)) {
    const EmbeddingLike& base = innermost<LoraEmbedding>(below);
    adapter_.base_tables.push_back(
        {name + (saved ? ".base_layer.weight" : ".weight"),
         [&base](i64 begin, i64 end) { return base.weight_rows(begin, end); }, base.rows(),
         base.width(), saved});
  }
}

void Injector::note_factors(const std::string& name, i64 rows, i64 cols, i64 rank,
                            const std::vector<Tensor>& tensors) {
  i64 parameters = 0;
  for (const Tensor& t : tensors) {
    parameters += t.defined() ? t.numel() : 0;
  }
  adapter_.modules.push_back({name, rows, cols, rank, parameters});
  target_names_.insert(name.substr(name.rfind('.') + 1));
}

}  // namespace inlay
