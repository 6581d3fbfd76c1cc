// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/dataset/dataset.h"
#include "finetune/config/run_config.h"
#include "finetune/loaded_model.h"

namespace inlay {

/// Throws IoError when there is no such data file: worth knowing before a model is loaded.
void require_rows(const std::string& path);

/// Reads a data file by the settings of a run config, for the tokenizer, chat template and
/// vocabulary of a model. Rows are cut to the positions of a model that has a fixed number of them.
Dataset load_rows(const std::string& path, const DataConfig& config, const LoadedModel& model);

}  // namespace inlay
