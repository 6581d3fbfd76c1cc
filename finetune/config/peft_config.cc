// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/peft_config.h"

#include "finetune/adapters/registry.h"

namespace inlay {
namespace {

/// What PEFT writes beside the fields of PeftConfig.
void keys_without_effect(FieldVisitor& v) {
  v.ignored("base_model_name_or_path", "the base is model.model_name_or_path");
  v.ignored("revision", "the base is model.model_name_or_path");
  v.ignored("auto_mapping", "informational");
  v.ignored("peft_version", "informational");
  v.ignored("inference_mode", "true in every saved adapter, whatever it was in training");
  v.ignored("fan_in_fan_out", "how the base stores its weights is seen from the base itself");
  v.ignored("megatron_config", "has no effect without Megatron");
  v.ignored("megatron_core", "has no effect without Megatron");
}

}  // namespace

void PeftConfig::update_fields(FieldVisitor& v) {
  v.choice("peft_type", peft_type, peft_types(), "the adapter method");
  v.choice("task_type", task_type, {"CAUSAL_LM"}, "what the adapter is for");
  v.field("r", r, {1, 1024}, "rank r of the update B A");
  v.field("lora_alpha", lora_alpha, {0.0, 1e6},
          "the update is scaled by lora_alpha / r, with use_rslora by lora_alpha / sqrt(r)");
  v.field("lora_dropout", lora_dropout, {.min = 0.0, .max = 1.0, .below_max = true},
          "probability of dropping an input of A in training");
}

void PeftConfig::module_fields(FieldVisitor& v) {
  v.field("exclude_modules", exclude_modules,
          "modules to leave out, matched as target_modules are");
  v.field("use_rslora", use_rslora, "scale the update by lora_alpha / sqrt(r)");
  v.field("use_dora", use_dora,
          "DoRA: train the length of each weight row apart from its direction");
  v.field("rank_pattern", rank_pattern, {1, 1024},
          "ranks of single modules: a regex over the end of the path, the first match counts");
  v.field("alpha_pattern", alpha_pattern, {0.0, 1e6}, "lora_alpha of single modules, likewise");
  constexpr i64 kMaxLayer = 100'000;
  v.typed("layers_to_transform", layers_to_transform,
          nullable(one_of({integer_type({0, kMaxLayer}), list_of(integer_type({0, kMaxLayer}))})),
          "only these layers, counted from 0; target_modules must then be a list");
  v.field("layers_pattern", layers_pattern,
          "the name before the layer number in module paths, for layers_to_transform");
  v.typed("modules_to_save", modules_to_save,
          nullable(list_of(type_of_kind(FieldType::Kind::kString))),
          "modules trained whole and saved with the adapter");
  keys_without_effect(v);
}

void PeftConfig::fields(FieldVisitor& v) {
  update_fields(v);
  v.field(
      "target_modules", target_modules,
      "\"all-linear\" (every linear layer but the output head), a regex that matches a module's "
      "whole path, or a list of module names");
  module_fields(v);
  v.choice("bias", bias, {"none"}, "which biases of the base are trained");
  method_of(*this).fields(*this, v, AdapterStage::kToTrain);
  v.path("init_from", init_from, "a directory with an adapter to go on from");
  v.neutral("trainable_token_indices", {"null"}, "training single tokens is not supported");
  v.neutral("ensure_weight_tying", {"false"}, "tied adapters are not supported");
  v.hint("rank", "r");
  v.hint("lora_r", "r");
  v.hint("lora_rank", "r");
  v.hint("alpha", "lora_alpha");
  v.hint("dropout", "lora_dropout");
}

void FinishedPeftConfig::fields(FieldVisitor& v) {
  update_fields(v);
  v.field("target_modules", named_targets, "the modules that factors were trained for");
  module_fields(v);
  v.choice("bias", bias, {"none", "all", "lora_only"}, "which biases of the base were trained");
  method_of(*this).fields(*this, v, AdapterStage::kFinished);
  v.field("lora_bias", lora_bias, "whether lora_B has a bias");
  v.field("ensure_weight_tying", ensure_weight_tying, "whether a tied head was adapted with it");
  v.ignored("trainable_token_indices", "trained_tokens holds them");
  v.ignored("runtime_config", "settings of the machine it was trained on");
  v.ignored("merge_weights", "what an early PEFT did on leaving training");
}

}  // namespace inlay
