// SPDX-License-Identifier: Apache-2.0
#include "finetune/plan/rehearsal.h"

#include <algorithm>
#include <cmath>

#include "finetune/bench/useful_work.h"
#include "finetune/plan/heaviest.h"
#include "finetune/train_run.h"

namespace inlay {
namespace {

// What comes beside the inputs, blocks and mapped weights once a run is under way: the program's
// code for arithmetic, stacks of threads, nodes of the graph, files being written. Between 1.8 and
// 6.7 MB were measured with the example configs.
constexpr i64 kBesides = 4'500'000;

// A token's, so that the sum over the rows comes out right: attention's part grows with the length
// of the row the token is in.
i64 mean_length(std::span<const Example> rows) {
  double tokens = 0.0;
  double squares = 0.0;
  for (const Example& row : rows) {
    const auto length = static_cast<double>(row.ids.size());
    tokens += length;
    squares += length * length;
  }
  return tokens == 0.0 ? 1 : std::llround(squares / tokens);
}

}  // namespace

Forecast rehearse(const RunConfig& config, RunInputs& inputs) {
  const std::span<const Example> rows = inputs.train.examples;
  const BatchSchedule schedule = schedule_of(config, static_cast<i64>(rows.size()));
  const i64 steps = total_steps(config.training, schedule);
  const auto heavy = heaviest_steps(schedule, steps, rows);

  RehearsedModel rehearsed(load_options(config), inputs.loaded);
  CausalLM& model = rehearsed.model();
  Forecast forecast;
  const std::optional<Adapter> adapter = add_adapter(config, model);
  if (adapter) {
    forecast.adapter_table = adapter_table(*adapter);
  }
  forecast.flops_a_token = useful_work(model, mean_length(rows)).training();

  const TrainerOptions options = make_trainer_options(config, steps);
  Trainer trainer(model, schedule, rows, {}, options);
  forecast.loaded = current_memory();
  for (const Parameter& p : trainer.parameters()) {
    forecast.trainable += p.value.numel();
  }
  for (const auto& batches : heavy) {
    trainer.step_on(batches);
  }
  if (inputs.validation && !inputs.validation->examples.empty()) {
    const std::span<const Example> validation = inputs.validation->examples;
    const i64 begin = heaviest_evaluation(validation, options.eval_batch_size);
    const i64 count = std::min(options.eval_batch_size, std::ssize(validation) - begin);
    evaluate_loss(model, *options.objective, validation.subspan(begin, count),
                  {.batch_size = options.eval_batch_size,
                   .attention = options.attention,
                   .compute = options.compute});
  }
  forecast.peak = peak_memory();
  forecast.resident =
      inputs.resident + reserved_memory() + rehearsed.backend().host_bytes() + kBesides;
  return forecast;
}

}  // namespace inlay
