// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/adapters/adapter.h"

/// Adapters on disk, as PEFT has them: a folder with adapter_config.json and
/// adapter_model.safetensors.
namespace inlay {

/// Writes both files into `directory` (which must be there, or be made). `base_model` is free text
/// that PEFT shows. Every key is "base_model.model." + AdapterTensor::key; only keys that every
/// PEFT version knows are in the config.
void save_adapter(const std::string& directory, const Adapter& adapter,
                  const std::string& base_model);

/// adapter_config.json of `directory`. Throws DataError for what is not a LoRA adapter, for methods
/// inlay does not compute, and for keys it does not know that are set.
FinishedPeftConfig read_adapter_config(const std::string& directory);

/// Throws ConfigError where a run that goes on from the adapter in `directory` would multiply its
/// update by another factor than the one it was trained with.
void require_same_scale(const PeftConfig& run, const std::string& directory);
/// Fills the tensors of an adapter that is to be trained on from the file in `directory` (f32, f16
/// or bf16). Every tensor of the file must land somewhere and every tensor of the adapter be filled
/// with numbers, else DataError lists what did not. Names are taken as AdapterFile takes them; a
/// table of the base ("….base_layer.weight", or an embedding's ".weight") need not be there, and
/// must be the model's if it is.
void load_adapter_tensors(const std::string& directory, const Adapter& adapter);

/// The adapter in `directory`, whoever made it, put into the model to be used
/// (inject_finished_adapter). DataError when one of its tensors has no place in the model, or one
/// that its config calls for is missing.
Adapter load_adapter(CausalLM& model, const std::string& directory, double scale = 1.0);

}  // namespace inlay
