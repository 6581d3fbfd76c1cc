// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "finetune/config/peft_config.h"

namespace inlay {

/// PEFT's target_parameters: parameters, by the ends of their paths, that are no linear layers'.
class ParameterTargets {
 public:
  explicit ParameterTargets(std::vector<std::string> names);

  /// Whether one of the names is `path` or its end, by whole parts.
  bool wants(const std::string& path);
  /// Throws ConfigError for the first name that hit nothing, with the parameters there are.
  void check_all_used(const std::string& pointer) const;

 private:
  std::vector<std::string> names_;
  std::vector<bool> used_;
  std::vector<std::string> seen_;
};

/// Whether PEFT 0.21 converts lists of names for models of this type as with_expert_targets does.
bool converts_expert_targets(std::string_view model_type);

/// Whether a module of this path goes, for such a model, by a name that PEFT converts.
bool names_expert_parameter(std::string_view path);

/// What PEFT 0.21 makes of target_modules that were linear layers of single experts once, and are
/// parts of parameters of all experts now: they move to target_parameters, and gate_proj and
/// up_proj, which must come together, become gate_up_proj with twice the rank and alpha. For the
/// model types that PEFT does it for, and lists of names. Throws ConfigError for one of the two
/// alone.
PeftConfig with_expert_targets(const PeftConfig& config, std::string_view model_type,
                               const std::string& pointer);

}  // namespace inlay
