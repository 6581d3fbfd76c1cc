// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/parameter_targets.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "finetune/adapters/lora.h"
#include "finetune/adapters/matching.h"

namespace inlay {
namespace {

// PEFT's _MODEL_TO_CONVERSION_PATTERN, of the families there are here.
constexpr std::string_view kConvertedTypes[] = {"qwen3_moe", "olmoe"};
// Its _MOE_TARGET_MODULE_MAPPING.
constexpr std::pair<std::string_view, std::string_view> kParameterOf[] = {
    {"gate", "gate.weight"},
    {"gate_proj", "gate_up_proj"},
    {"up_proj", "gate_up_proj"},
    {"down_proj", "down_proj"}};
constexpr const char* kGateUpPattern = ".*\\.gate_up_proj";

template <class Value>
void set_pattern(OrderedMap<Value>& pattern, Value value) {
  const auto same = [](const auto& entry) { return entry.first == kGateUpPattern; };
  const auto it = std::ranges::find_if(pattern, same);
  if (it != pattern.end()) {
    it->second = value;
  } else {
    pattern.emplace_back(kGateUpPattern, value);
  }
}

void add_once(std::vector<std::string>& names, std::string_view name) {
  if (std::ranges::find(names, name) == names.end()) {
    names.emplace_back(name);
  }
}

}  // namespace

ParameterTargets::ParameterTargets(std::vector<std::string> names)
    : names_(std::move(names)), used_(names_.size(), false) {}

bool ParameterTargets::wants(const std::string& path) {
  seen_.push_back(path);
  bool wanted = false;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (ends_with_module(path, names_[i])) {
      wanted = used_[i] = true;
    }
  }
  return wanted;
}

void ParameterTargets::check_all_used(const std::string& pointer) const {
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (!used_[i]) {
      std::vector<std::string> ends;
      for (const std::string& path : seen_) {
        add_once(ends, std::string_view(path).substr(path.rfind('.') + 1));
      }
      throw ConfigError(str(pointer, "/target_parameters: \"", printable(names_[i]),
                            "\" matches no parameter of this model's experts",
                            ends.empty() ? ": it has none" : did_you_mean(names_[i], ends)));
    }
  }
}

bool converts_expert_targets(std::string_view model_type) {
  return std::ranges::find(kConvertedTypes, model_type) != std::ranges::end(kConvertedTypes);
}

bool names_expert_parameter(std::string_view path) {
  return std::ranges::any_of(kParameterOf,
                             [&](const auto& pair) { return ends_with_module(path, pair.first); });
}

PeftConfig with_expert_targets(const PeftConfig& config, std::string_view model_type,
                               const std::string& pointer) {
  PeftConfig out = config;
  const auto* list = std::get_if<std::vector<std::string>>(&config.target_modules);
  if (list == nullptr || config.peft_type != "LORA" || !converts_expert_targets(model_type)) {
    return out;
  }
  std::vector<std::string> remaining, parameters = own_keys<LoraKeys>(config).target_parameters;
  bool gate = false, up = false;
  for (const std::string& target : *list) {
    const auto converted = std::ranges::find_if(
        kParameterOf, [&](const auto& pair) { return ends_with_module(target, pair.first); });
    if (converted == std::ranges::end(kParameterOf)) {
      remaining.push_back(target);
      continue;
    }
    gate = gate || converted->first == "gate_proj";
    up = up || converted->first == "up_proj";
    add_once(parameters, converted->second);
  }
  if (gate != up) {
    throw ConfigError(str(pointer, "/target_modules: \"", gate ? "gate_proj" : "up_proj",
                          "\" of experts is one parameter with \"", gate ? "up_proj" : "gate_proj",
                          "\": name both"));
  }
  if (gate) {
    set_pattern<i64>(out.rank_pattern, 2 * config.r);
    set_pattern<double>(out.alpha_pattern, 2.0 * config.lora_alpha);
  }
  std::ranges::sort(parameters);
  out.target_modules = remaining;
  own_keys<LoraKeys>(out).target_parameters = parameters;
  return out;
}

}  // namespace inlay
