// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/tensor/dtype.h"
#include "finetune/loaded_model.h"

namespace inlay {

/// Throws DataError when config.json has no words for the model's rotary settings, as some GGUF
/// files have them: such a model can be run and take adapters, but not be written as a folder.
void require_exportable(const LoadedModel& model);

/// Writes the model as a Hugging Face folder into `directory`, which must be there: config.json,
/// model.safetensors with every weight as `dtype` (adapters folded in, norms and biases too), and
/// the tokenizer's files, where it is from a folder. A head that no longer equals the embedding it
/// was tied to is written on its own, and the config says so. Give it the path of an
/// AtomicDirectory: the files of a model belong together.
void write_hf_files(const std::string& directory, LoadedModel& model, DType dtype);

}  // namespace inlay
