// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/tensor/dtype.h"
#include "finetune/loaded_model.h"

namespace inlay {

/// Writes the model as a Hugging Face folder: config.json, model.safetensors with every weight as
/// `dtype` (adapters folded in, norms and biases too), and the tokenizer's files where the model
/// has them. The folder appears whole or not at all. A head that no longer equals the embedding it
/// was tied to is written on its own, and the config says so.
void export_hf(const std::string& directory, LoadedModel& model, DType dtype, bool replace);

}  // namespace inlay
