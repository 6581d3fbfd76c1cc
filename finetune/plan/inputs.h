// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/backend/rehearsal.h"
#include "data/batch_schedule.h"
#include "data/dataset/dataset.h"
#include "finetune/adapters/adapter.h"
#include "finetune/config/run_config.h"
#include "finetune/loaded_model.h"

/// What a run is made of, for those who rehearse it and those who do it.
namespace inlay {

/// What a run reads besides weights.
struct RunInputs {
  LoadedModel loaded;  // without weights, until load_weights
  Dataset train;
  std::optional<Dataset> validation;
  std::vector<std::string> notes;  // about both, a sentence each
  i64 resident = 0;                // bytes of this process with these in memory
};

/// Throws ConfigError, IoError, DataError.
RunInputs open_run(const RunConfig& config);

LoadOptions load_options(const RunConfig& config);
/// The config's adapter put into the model, drawn anew; none for full training.
std::optional<Adapter> add_adapter(const RunConfig& config, CausalLM& model);
BatchSchedule schedule_of(const RunConfig& config, i64 rows);
i64 total_steps(const TrainingConfig& config, const BatchSchedule& schedule);

/// A rehearsal in which the model has weights: while it lives, this thread's tensors are only
/// counted.
class RehearsedModel {
 public:
  RehearsedModel(const LoadOptions& options, LoadedModel& loaded);
  CausalLM& model() { return *slot_.loaded.model; }
  const RehearsalBackend& backend() const { return backend_; }

 private:
  RehearsalBackend backend_;
  UseBackend use_;
  // Last, so that the weights go before the rehearsal ends, whatever was thrown.
  struct Slot {
    LoadedModel& loaded;
    ~Slot() { loaded.model.reset(); }
  };
  Slot slot_;
};

}  // namespace inlay
