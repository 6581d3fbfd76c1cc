// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "finetune/adapters/adapter.h"
#include "finetune/adapters/adapter_file.h"

namespace inlay {

/// Puts the adapter that `file` holds into the model, to be used, not trained, and leaves in the
/// file what it had no place for. The tensors say what was trained:
///   lora_A, lora_B, lora_embedding_*, lora_magnitude_vector   factors, of the rank and alpha that
///     the config has for the module; factors of a module that the config does not mean stay
///   weight, bias (of a module, or below it "base_layer.")     in place of the model's own
///   token_adapter.trainable_tokens_delta                      rows of a table, in tied heads, too
///   lora_B.bias                                               s times it is added to the bias
/// Missing are those that the config calls for and the file lacks. Entries of the config that mean
/// nothing here, or modules that are left out all the same, are no mistake.
/// Throws ConfigError for what inlay does not compute and DataError for tensors that do not fit.
struct FinishedAdapter {
  Adapter adapter;
  std::vector<std::string> missing;
};
FinishedAdapter inject_finished_adapter(CausalLM& model, const FinishedPeftConfig& config,
                                        AdapterFile& file, double scale);

}  // namespace inlay
