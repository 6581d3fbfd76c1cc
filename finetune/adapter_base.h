// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "core/config/values.h"

/// What an adapter needs its base to be, and its own files cannot say: model.rope_scaling of the run
/// that trained it.
namespace inlay {

/// The model.rope_scaling of the run that an adapter's folder lies in, as its result or in one of
/// its checkpoints; null where that run has none, or the folder lies in no run.
FreeObject rope_scaling_of_run(const std::string& adapter);

/// The rope_scaling to load a base with: `given`, the text of a command's --rope-scaling, if it is
/// not "" (null or {}: the model's own), else that of the adapters' runs. Throws ConfigError for a
/// text that is none, and for adapters of different ones.
FreeObject rope_scaling_of_base(const std::string& given, std::span<const std::string> adapters);

/// A sentence for people who take such an adapter elsewhere.
std::string rope_scaling_note(const FreeObject& rope_scaling);

}  // namespace inlay
