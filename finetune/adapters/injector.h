// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "finetune/adapters/adapter.h"
#include "finetune/adapters/lora.h"
#include "finetune/adapters/matching.h"
#include "finetune/adapters/parameter_targets.h"
#include "finetune/adapters/registry.h"
#include "nn/models/families.h"

namespace inlay {

/// Every parameter of the model loses its gradient.
void freeze(CausalLM& model);

/// A trainable f32 copy among the memory of adapters.
Tensor trainable_copy(const Tensor& source);

/// What lies below every `Wrapper` around a layer.
template <typename Wrapper, typename Layer>
const Layer& innermost(const Layer& layer) {
  const Layer* inner = &layer;
  while (const auto* wrapper = dynamic_cast<const Wrapper*>(inner)) {
    inner = &wrapper->base();
  }
  return *inner;
}

/// Puts updates and whole copies into a model's slots and keeps account of them. Which modules get
/// what is the business of those derived from it: inject_adapter for a new adapter,
/// inject_finished_adapter for one that is on disk.
class Injector : public Visitor {
 protected:
  Injector(const CausalLM& model, const PeftConfig& config, const InjectOptions& options)
      : head_(model.head_name()),
        family_(find_family(model.family())),
        config_(config),
        options_(options),
        method_(method_of(config)),
        matcher_(config, options.pointer),
        parameter_targets_(own_keys<LoraKeys>(config).target_parameters) {}

  /// Notes a stack whose parameter the config means. Its update's name hangs on how many there are
  /// in the same module, so it is wrapped with the last of them.
  void experts(const std::string& name, ExpertStack& stack) override;
  /// Gives the stacks noted so far their updates.
  void wrap_stacks();
  /// The path of a router, whatever checkpoints call it.
  std::string router_path(const std::string& name) const {
    return family_ != nullptr ? router_in_memory(*family_, name) : name;
  }
  /// Rank and alpha for the weight of a router, where target_parameters means it.
  std::optional<ModuleMatcher::Choice> router_choice(const std::string& name);
  void wrap_router(const std::string& name, std::unique_ptr<LinearLike>& slot,
                   const ModuleMatcher::Choice& choice);

  UpdateSite site(const std::string& name, const ModuleMatcher::Choice& choice) const;

  void wrap_linear(const std::string& name, std::unique_ptr<LinearLike>& slot,
                   const ModuleMatcher::Choice& choice);
  void wrap_embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot,
                      std::unique_ptr<TableUpdate> update);
  /// Into the slot: a layer that computes with `weight`, which lies as checkpoints of the model
  /// keep it, and `bias`.
  void put_linear(const std::string& name, std::unique_ptr<LinearLike>& slot, const Tensor& weight,
                  const Tensor& bias);
  void put_embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot,
                     const Tensor& table);
  void note_whole(const std::string& name, i64 rows, i64 cols, i64 parameters) {
    adapter_.modules.push_back({name, rows, cols, 0, parameters, true});
  }

  // PEFT saves the tables of these two modules where they are adapted (`saved`), and looks for no
  // other names; a file may bring them all the same. The table is that of the model itself,
  // whatever adapters lie between.
  void keep_base(const std::string& name, const LinearLike& below, bool saved);
  void keep_base(const std::string& name, const EmbeddingLike& below, bool saved);

  void take(const std::string& key, const Tensor& value) {
    adapter_.tensors.push_back({key, value});
  }

  std::string head_;      // the path of the model's output head
  const Family* family_;  // null for models that are of none
  PeftConfig config_;
  InjectOptions options_;
  const AdapterMethod& method_;
  ModuleMatcher matcher_;
  ParameterTargets parameter_targets_;
  Adapter adapter_;
  std::set<std::string> target_names_;

 private:
  /// Throws ConfigError where the update of a parameter would have what it has not in PEFT.
  void require_plain_update(const std::string& parameter) const;

  struct NotedStack {
    std::string module;
    ExpertStack* stack;
  };
  std::vector<NotedStack> noted_;

  void note_update(const AdaptedModule& module, const std::vector<NamedTensor>& tensors);
};

/// A layer's weight in the layout that checkpoints keep it in: [out, in], or GPT-2's [in, out].
Tensor checkpoint_weight(const LinearLike& layer);

}  // namespace inlay
