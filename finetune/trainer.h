// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "data/batch_schedule.h"
#include "data/example.h"
#include "finetune/evaluate.h"
#include "finetune/objectives/registry.h"
#include "nn/causal_lm.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace inlay {

struct TrainerOptions {
  std::shared_ptr<const Objective> objective = default_objective();
  Schedule schedule;  // its total_steps is the length of the run
  const OptimizerKind* optimizer_kind = &optimizers().front();
  OptimizerConfig optimizer;
  bool decay_norms_and_biases = false;  // Transformers' Trainer never does
  double max_grad_norm = 1.0;           // <= 0: no clipping
  u64 seed = 42;
  i64 logging_steps = 1;
  i64 eval_steps = 0;  // > 0: evaluate every so many steps; with validation data always at the end
  i64 save_steps = 0;  // > 0: ask the observer to save every so many steps
  i64 eval_batch_size = 1;
  Recompute recompute = Recompute::kNone;
  std::optional<i64> recompute_layers;  // null: all
  AttentionKind attention = AttentionKind::kTiled;
  GemmCompute compute = GemmCompute::kF32;
  bool prepack = false;      // the frozen weights (FrozenMatrix::prepack)
  Keep keep = Keep::kExact;  // of what backward reads (Pass)
};

/// What is logged of a step. `step` counts from 1: the number of optimizer steps done.
struct StepMetrics {
  i64 step = 0;
  double epoch = 0.0;
  double loss = 0.0;       // mean by the weights of the rows (Objective) since the last log
  double grad_norm = 0.0;  // of this step, before clipping
  double learning_rate = 0.0;
  i64 tokens = 0;  // seen since the run began, trained or not
  double tokens_per_second = 0.0;
  i64 rss_bytes = 0;
  double elapsed_s = 0.0;
};

struct EvalMetrics {
  i64 step = 0;
  double epoch = 0.0;
  LossReport report;
};

/// Where a run stands between two steps; with the trained parameters and the optimizer's state
/// enough to go on.
struct TrainerState {
  i64 step = 0;    // optimizer steps done
  i64 tokens = 0;  // tokens seen
  // Steps done since the last log: the sum of their losses by the weights of their rows
  // (Objective), which are trained tokens, say, and of those weights.
  double window_loss = 0.0;
  i64 window_trained = 0;
};

class Trainer;

/// Hears of a run as it goes.
class TrainerObserver {
 public:
  virtual ~TrainerObserver() = default;
  virtual void on_step(const StepMetrics& metrics);
  virtual void on_eval(const EvalMetrics& metrics);
  /// Time to save (every save_steps, and when a stop was asked for).
  virtual void on_save(Trainer& trainer);
  /// True ends the run after the step in hand, saved.
  virtual bool stop_requested();
};

/// The one training loop: whatever parameters of the model want a gradient are trained. Without an
/// adapter that is full training. What for, the objective says. Every number is a function of
/// config, data and step, not of threads or of where a run was resumed.
class Trainer {
 public:
  Trainer(CausalLM& model, const BatchSchedule& schedule, std::span<const Example> train,
          std::span<const Example> validation, const TrainerOptions& options);

  /// Runs to the last step, or to a requested stop (then returns false). Throws DivergedError
  /// naming step and parameter when a loss or gradient is not finite; the parameters are then those
  /// before that step.
  bool run(TrainerObserver& observer);

  /// One optimizer step on these batches of rows, outside the schedule and the log: to rehearse.
  void step_on(const std::vector<std::vector<i64>>& batches);

  const TrainerState& state() const { return state_; }
  void set_state(const TrainerState& state);
  Optimizer& optimizer() { return optimizer_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

 private:
  struct StepResult {
    double loss = 0.0;
    i64 weight = 0;  // of its rows, by the objective
    i64 tokens = 0;
    double grad_norm = 0.0;
    double learning_rate = 0.0;
  };
  StepResult take_step(i64 step, const std::vector<std::vector<i64>>& batches);
  StepResult accumulate_gradients(i64 step, const std::vector<std::vector<i64>>& batches);
  Pass training_pass(i64 step, i64 batch) const;
  double checked_loss(i64 step, const Tensor& losses);
  double checked_grad_norm(i64 step) const;
  void log(TrainerObserver& observer, const StepResult& result);
  void evaluate(TrainerObserver& observer);
  void drop_gradients();

  CausalLM& model_;
  const BatchSchedule& schedule_;
  std::span<const Example> train_;
  std::span<const Example> validation_;
  TrainerOptions options_;
  std::vector<Parameter> parameters_;
  Optimizer optimizer_;
  TrainerState state_;

  using Clock = std::chrono::steady_clock;
  Clock::time_point started_, window_started_;
  i64 window_tokens_ = 0;
};

}  // namespace inlay
