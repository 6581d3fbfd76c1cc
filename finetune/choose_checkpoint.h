// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/checkpoint_files.h"
#include "finetune/run_directory.h"

namespace inlay {

struct ChosenCheckpoint {
  std::string path;
  CheckpointState state;
};

/// The checkpoint that `which` means, read and checked: "last" (or the run's directory), the name
/// of a step's folder, or a path. Throws ConfigError when there is no such checkpoint and DataError
/// for one that is damaged, and then names the newest sound one there is.
ChosenCheckpoint choose_checkpoint(const RunDirectory& directory, const std::string& which);

}  // namespace inlay
