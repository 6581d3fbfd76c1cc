// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/train_bench.h"

#include <optional>

#include "core/error.h"
#include "finetune/adapters/adapter.h"
#include "finetune/arithmetic.h"
#include "finetune/loaded_model.h"
#include "finetune/train_run.h"
#include "finetune/trainer.h"

namespace inlay {
namespace {

std::vector<Example> random_rows(i64 rows, i64 length, i64 vocab_size) {
  const RandomKey key = RandomKey(1).with("bench");
  std::vector<Example> out(rows);
  for (i64 r = 0; r < rows; ++r) {
    const RandomKey own = key.with(static_cast<u64>(r));
    for (i64 t = 0; t < length; ++t) {
      out[r].ids.push_back(
          static_cast<i32>(own.with(static_cast<u64>(t)).value() % static_cast<u64>(vocab_size)));
    }
    out[r].labels = out[r].ids;
  }
  return out;
}

void require_positions(const ModelSizes& sizes, i64 length) {
  if (sizes.hard_limit && length > sizes.max_positions) {
    throw ConfigError(str("--length: expected at most the ", sizes.max_positions,
                          " positions of this model, found ", length));
  }
}

// Takes the time of each step but the first.
class StepTimer final : public TrainerObserver {
 public:
  explicit StepTimer(bool profile) : profile_(profile) {}
  void on_step(const StepMetrics& metrics) override {
    if (metrics.step == 1) {
      watch_.begin();  // before the profile, which is so within the steps
      if (profile_) {
        profile::start();
      }
    } else {
      profile::mark("metrics", profile::Phase::kOther);  // the parts add up to whole steps
      watch_.lap(timing);
    }
    last_loss = metrics.loss;
  }

  Timing timing;
  double last_loss = 0.0;

 private:
  bool profile_;
  Stopwatch watch_;
};

}  // namespace

TrainBench bench_training(const RunConfig& config, const TrainBenchOptions& options) {
  reset_peak_memory();
  use_arithmetic(config.training);
  LoadedModel loaded = load_model({.model = config.model,
                                   .quantization = config.quantization,
                                   .trainable = !config.peft.has_value(),
                                   .seed = static_cast<u64>(config.training.seed)});
  CausalLM& model = *loaded.model;
  require_positions(model.sizes(), options.length);
  std::optional<Adapter> adapter;
  if (config.peft) {
    const RandomKey key = RandomKey(static_cast<u64>(config.training.seed)).with("adapter");
    adapter = inject_adapter(model, *config.peft, {.key = key});
  }
  const i64 batch = config.training.per_device_train_batch_size;
  const i64 accumulation = config.training.gradient_accumulation_steps;
  const std::vector<Example> rows =
      random_rows(batch * accumulation, options.length, model.sizes().vocab_size);
  const BatchSchedule schedule({.rows = batch * accumulation,
                                .batch_size = batch,
                                .accumulation = accumulation,
                                .key = RandomKey(0)});
  TrainerOptions trainer_options = make_trainer_options(config, options.steps + 1);
  trainer_options.logging_steps = 1;
  trainer_options.save_steps = trainer_options.eval_steps = 0;
  Trainer trainer(model, schedule, rows, {}, trainer_options);
  StepTimer timer(options.profile);
  trainer.run(timer);

  TrainBench out;
  out.profile = profile::stop();
  out.model = loaded.name;
  out.tokens = batch * accumulation * options.length;
  for (const Parameter& p : trainer.parameters()) {
    out.trained_parameters += p.value.numel();
  }
  out.step = std::move(timer.timing);
  out.work = useful_work(model, options.length);
  out.peak = peak_memory();
  out.peak_rss = peak_rss();
  out.last_loss = timer.last_loss;
  return out;
}

}  // namespace inlay
