// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/adapters/adapter.h"
#include "finetune/trainer.h"

/// What a run needs to go on bit for bit:
///
///   adapter_config.json, adapter_model.safetensors   with an adapter (PEFT loads a checkpoint as
///   it is), or trainable.safetensors                            the trained parameters of full
///   training optimizer.safetensors                            the optimizer's tensors
///   trainer_state.json                               step, tokens, and sizes and SHA-256 of the
///   other files
namespace inlay {

/// Writes a checkpoint as one atomic directory. `adapter` is null in full training.
void save_checkpoint(const std::string& directory, Trainer& trainer, const Adapter* adapter,
                     const std::string& base_model);

/// Checks every file against trainer_state.json, then fills the parameters, the optimizer and the
/// trainer's state. Throws DataError for a damaged checkpoint, naming the file, and for one of
/// another run's shapes.
void load_checkpoint(const std::string& directory, Trainer& trainer, const Adapter* adapter);

}  // namespace inlay
