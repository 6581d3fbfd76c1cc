// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/injector.h"

#include <utility>

#include "finetune/adapters/adapted_layers.h"

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

UpdateSite Injector::site(const std::string& name, const ModuleMatcher::Choice& choice) const {
  return {name, config_, choice.rank, choice.alpha, options_.scale, options_.key};
}

void Injector::wrap_linear(const std::string& name, std::unique_ptr<LinearLike>& slot,
                           const ModuleMatcher::Choice& choice) {
  adapter_.fan_in_fan_out |= slot->checkpoint_layout() == WeightLayout::kInOut;
  std::unique_ptr<LayerUpdate> update = method_.linear(site(name, choice), *slot);
  note_update({name, slot->out_features(), slot->in_features(), update->rank()}, update->tensors());
  keep_base(name, *slot, true);
  slot = std::make_unique<AdaptedLinear>(std::move(slot), std::move(update));
}

void Injector::wrap_embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot,
                              std::unique_ptr<TableUpdate> update) {
  note_update({name, slot->rows(), slot->width(), update->rank()}, update->tensors());
  keep_base(name, *slot, true);
  slot = std::make_unique<AdaptedEmbedding>(std::move(slot), std::move(update));
}

void Injector::experts(const std::string& name, ExpertStack& stack) {
  if (!noted_.empty() && noted_[0].module != name) {
    wrap_stacks();
  }
  if (parameter_targets_.wants(dotted(name, stack.spec().parameter))) {
    noted_.push_back({name, &stack});
  }
}

void Injector::require_plain_update(const std::string& parameter) const {
  if (config_.use_dora || config_.lora_dropout > 0.0) {
    throw ConfigError(str(options_.pointer, config_.use_dora ? "/use_dora" : "/lora_dropout",
                          ": the update of ", parameter,
                          ", one of target_parameters, has none, as in PEFT"));
  }
}

void Injector::wrap_stacks() {
  for (std::size_t i = 0; i < noted_.size(); ++i) {
    const auto& [module, stack] = noted_[i];
    const ExpertStackSpec& spec = stack->spec();
    const std::string path = dotted(module, spec.parameter);
    if (method_.experts == nullptr) {
      throw ConfigError(str(options_.pointer, "/target_parameters: ", method_.name, " on ", path,
                            ", a parameter of all experts, is not supported"));
    }
    require_plain_update(path);
    // PEFT wraps the module once for each parameter, the first innermost.
    std::string prefix;
    for (std::size_t around = i + 1; around < noted_.size(); ++around) {
      prefix += "base_layer.";
    }
    const ModuleMatcher::Choice choice = matcher_.factors(path);
    ExpertStackUpdate update = {method_.experts(site(path, choice), *stack),
                                prefix + "lora_A.weight", prefix + "lora_B.weight"};
    const i64 parameters = update.what.a.numel() + update.what.b.numel();
    adapter_.modules.push_back({path, spec.experts * spec.out, spec.in, choice.rank, parameters});
    take(dotted(module, update.a_name), update.what.a);
    take(dotted(module, update.b_name), update.what.b);
    stack->add_update(std::move(update));
  }
  noted_.clear();
}

std::optional<ModuleMatcher::Choice> Injector::router_choice(const std::string& name) {
  const std::string parameter = dotted(name, "weight");
  if (!parameter_targets_.wants(parameter)) {
    return {};
  }
  require_plain_update(parameter);
  return matcher_.factors(parameter);
}

void Injector::wrap_router(const std::string& name, std::unique_ptr<LinearLike>& slot,
                           const ModuleMatcher::Choice& choice) {
  // By its parameter, not as one of the target_modules.
  const std::set<std::string> names = target_names_;
  wrap_linear(name, slot, choice);
  target_names_ = names;
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
    const LinearLike& base = innermost<AdaptedLinear>(below);
    adapter_.base_tables.push_back(
        {name + (saved ? ".base_layer.weight" : ".weight"),
         [&base](i64 begin, i64 end) { return base.weight_rows(begin, end); }, base.out_features(),
         base.in_features(), saved});
  }
}

void Injector::keep_base(const std::string& name, const EmbeddingLike& below, bool saved) {
  if (is_kept_table(name)) {
    const EmbeddingLike& base = innermost<AdaptedEmbedding>(below);
    adapter_.base_tables.push_back(
        {name + (saved ? ".base_layer.weight" : ".weight"),
         [&base](i64 begin, i64 end) { return base.weight_rows(begin, end); }, base.rows(),
         base.width(), saved});
  }
}

void Injector::note_update(const AdaptedModule& module, const std::vector<NamedTensor>& tensors) {
  adapter_.modules.push_back(module);
  for (const NamedTensor& t : tensors) {
    take(dotted(module.path, t.name), t.value);
    adapter_.modules.back().parameters += t.value.numel();
  }
  target_names_.insert(module.path.substr(module.path.rfind('.') + 1));
}

}  // namespace inlay
