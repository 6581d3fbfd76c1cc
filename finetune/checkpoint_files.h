// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "finetune/adapters/adapter.h"
#include "finetune/config/run_config.h"
#include "finetune/run_sources.h"
#include "finetune/trainer.h"

/// What a run needs to go on bit for bit:
///
///   adapter_config.json,
///   adapter_model.safetensors    with an adapter (PEFT loads a checkpoint as it is), or
///   trainable.safetensors        the trained parameters of full training
///   optimizer.safetensors        the optimizer's tensors
///   trainer_state.json           step, tokens, SHA-256 of data, base, tokenizer and template,
///                                sizes and SHA-256 of the other files, and SHA-256 of its own text
namespace inlay {

/// SHA-256 of the files that a run reads its rows from; `validation` is "" when there is none.
struct DataDigests {
  std::string train, validation;
  friend bool operator==(const DataDigests&, const DataDigests&) = default;
};
DataDigests digests_of(const DataConfig& data);
DataDigests digests_of(const RunSources& sources);

/// What trainer_state.json says beside the facts of the files.
struct CheckpointState {
  TrainerState trainer;
  DataDigests data;
  /// Nothing in checkpoints of older versions, which have no checksum of the state either.
  std::optional<RunSources> sources;
};

/// The files that a checkpoint may have.
bool is_checkpoint_file(std::string_view name);

/// Writes a checkpoint as one atomic directory. `adapter` is null in full training.
void save_checkpoint(const std::string& directory, Trainer& trainer, const Adapter* adapter,
                     const std::string& base_model, const RunSources& sources);

/// Reads trainer_state.json and checks it, the folder's name and every other file against it.
/// Throws DataError for a damaged checkpoint, naming the file.
CheckpointState read_checkpoint(const std::string& directory);

/// Fills the parameters, the optimizer and the trainer's state from a checkpoint that
/// read_checkpoint() has checked. Throws DataError for one of another run's shapes.
void load_checkpoint(const std::string& directory, const CheckpointState& state, Trainer& trainer,
                     const Adapter* adapter);

}  // namespace inlay
