// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/memory/memory.h"
#include "finetune/arithmetic.h"
#include "finetune/config/run_config.h"
#include "finetune/plan/rehearsal.h"
#include "finetune/trainer.h"

namespace inlay {

struct TrainOptions {
  bool dry_run = false;                        // everything but the steps: nothing is written
  bool overwrite = false;                      // replace an earlier run in the output directory
  std::optional<std::string> resume = {};      // "last" or a checkpoint: go on with the run there
  std::vector<std::string> config_files = {};  // what the config was read from
};

/// What is known before the first step.
struct RunPlan {
  std::string model;  // where the weights came from
  std::string rope;   // by model.rope_scaling, in short; "" for the model's own
  i64 rows = 0, validation_rows = 0;
  i64 tokens = 0, trained_tokens = 0;  // of an epoch
  i64 truncated_rows = 0;
  i64 skipped_rows = 0;         // with nothing to train on
  std::string control_summary;  // of control tokens spelt out in the rows; "" for none
  i64 steps = 0, steps_per_epoch = 0;
  i64 first_step = 0;   // > 0: resumed
  MemoryReport memory;  // after loading
  Recompute gradient_checkpointing =
      Recompute::kNone;  // as chosen where the config leaves it to us
  std::optional<i64> gradient_checkpointing_layers;
  Prepack prepack_weights = Prepack::kNever;  // kNever or kAlways
  Arithmetic arithmetic;
  Forecast forecast;
  i64 allowed = 0;  // bytes, by runtime.max_memory
};

struct RunResult {
  bool finished = true;  // false: stopped on request, with a checkpoint
  i64 steps = 0;
  double last_loss = 0.0;
  std::optional<LossReport> validation;
  double seconds = 0.0;  // of the training loop
  MemoryReport peak;     // tracked bytes
  i64 peak_rss = 0;
  std::string output;       // the adapter or model that was written; "" for a dry run
  std::string log_problem;  // what of metrics.jsonl could not be kept, in a sentence; "": nothing
};

/// Hears of a run from outside: progress and text for people.
class RunListener : public TrainerObserver {
 public:
  virtual void on_notice(const std::string& sentence);
  /// The modules an adapter changes, as a table.
  virtual void on_adapter(const std::string& table);
  virtual void on_plan(const RunPlan& plan);
};

/// What a run config of `steps` optimizer steps tells the trainer.
TrainerOptions make_trainer_options(const RunConfig& config, i64 steps);

/// What a run would be, without reading a weight; the data and the tokenizer are read. A run that
/// does not fit runtime.max_memory is no error here: `problem` then gets the sentence that
/// run_training would throw. Throws ConfigError, DataError, IoError.
RunPlan plan_run(const RunConfig& config, std::string* problem);

/// A whole training run from its config: plan, load, adapt, train, write. Throws ConfigError,
/// DataError, IoError, DivergedError, and MemoryError before it loads what would not fit.
RunResult run_training(const RunConfig& config, const TrainOptions& options, RunListener& listener);

}  // namespace inlay
