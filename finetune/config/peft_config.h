// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <any>
#include <optional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "core/types.h"

namespace inlay {

/// PEFT's adapter_config.json, its keys unchanged, and `init_from`. Any key that PEFT 0.21 writes
/// may be there, so that such a file can be pasted into a run config: keys that do not touch the
/// maths are ignored, and those of methods we lack must be off.
///
/// The defaults are those of a run config. Where they differ from PEFT's (lora_alpha 16 for 8,
/// target_modules all-linear for the family's table) a file written by PEFT has the key.
struct PeftConfig {
  std::string peft_type = "LORA";
  std::optional<std::string> task_type = "CAUSAL_LM";
  i64 r = 8;
  double lora_alpha = 16.0;
  double lora_dropout = 0.0;
  /// "all-linear", a regex that must match a module's whole path, or a list of names or path ends.
  StringOrList target_modules = "all-linear";
  std::optional<StringOrList> exclude_modules;
  bool use_rslora = false;
  bool use_dora = false;
  /// Regexes over module paths, the first match counts; else r and lora_alpha.
  OrderedMap<i64> rank_pattern;
  OrderedMap<double> alpha_pattern;
  std::optional<std::vector<i64>> layers_to_transform;
  std::optional<StringOrList> layers_pattern;
  std::vector<std::string> modules_to_save;
  std::string bias = "none";
  /// The keys that only methods of this peft_type have; their rows know them (AdapterMethod).
  std::any own;
  /// A directory with an adapter to go on from.
  std::optional<std::string> init_from;
  void fields(FieldVisitor& v);

 protected:
  /// What means the same in a run config and in the file of a finished adapter: how large the
  /// update is, and, beside target_modules, which modules get one.
  void update_fields(FieldVisitor& v);
  void module_fields(FieldVisitor& v);
};

/// adapter_config.json of an adapter that is trained. How it began is over: any way of starting the
/// factors will do that left the base as it was. What was trained beside the factors (biases,
/// single tokens) is told by the tensors.
struct FinishedPeftConfig : PeftConfig {
  /// Null: the modules that PEFT adapts where nobody says which.
  std::optional<StringOrList> named_targets;
  bool lora_bias = false;
  bool ensure_weight_tying = false;
  /// Trained rows of the input embedding (under ""), or of modules by name.
  OrderedMap<std::vector<i64>> trained_tokens;
  void fields(FieldVisitor& v);
};

}  // namespace inlay
