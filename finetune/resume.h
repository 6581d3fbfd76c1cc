// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/checkpoint_files.h"
#include "finetune/config/run_config.h"

namespace inlay {

/// Throws ConfigError unless `config` means the run whose resolved config is in `file`: a resumed
/// run must be the same run. What does not touch its numbers may differ: logging, evaluation,
/// saving, threads. Keys that the version which began the run did not have must be at their
/// defaults.
void check_same_run(const std::string& file, const RunConfig& config);

/// Where `config` leaves training.gradient_checkpointing to us, makes it what the run in `file` was
/// started with: chosen anew, it could be another.
void keep_recomputation(const std::string& file, RunConfig& config);

/// Where `config` leaves training.compute_dtype, bf16_products or activation_dtype to us, makes them
/// what the run in `file` was started with: measured anew, another could be the faster.
void keep_arithmetic(const std::string& file, RunConfig& config);

/// Where `config` leaves model.template_date to the clock, makes it the date that the run in `file`
/// wrote down, if it did.
void keep_template_date(const std::string& file, RunConfig& config);

/// Throws DataError, naming the file, unless the rows of `config` are in files with the content
/// that they had `before`; `now` is what they have.
void check_same_data(const DataConfig& config, const DataDigests& before, const DataDigests& now);

}  // namespace inlay
