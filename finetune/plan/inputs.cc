// SPDX-License-Identifier: Apache-2.0
#include "finetune/plan/inputs.h"

#include <cmath>
#include <utility>

#include "finetune/adapters/peft_files.h"
#include "finetune/rows.h"
#include "finetune/shared_rows.h"
#include "nn/models/families.h"

namespace inlay {

RehearsedModel::RehearsedModel(const LoadOptions& options, LoadedModel& loaded)
    : use_(backend_), slot_{loaded} {
  LoadOptions unread = options;
  unread.require_finite = false;  // it would read the whole file, which is left for the run
  load_weights(unread, loaded);
}

namespace {

std::vector<std::string> notes_of(const RunInputs& inputs) {
  std::vector<std::string> notes = inputs.train.report.notes;
  if (inputs.validation) {
    for (const std::string& note : inputs.validation->report.notes) {
      notes.push_back("validation: " + note);
    }
    if (auto note = shared_rows_note(inputs.train, *inputs.validation)) {
      notes.push_back(std::move(*note));
    }
  }
  return notes;
}

}  // namespace

RunInputs open_run(const RunConfig& config) {
  RunInputs inputs;
  inputs.loaded = open_model(load_options(config));
  inputs.loaded.sizes = sizes_of(*inputs.loaded.config);  // rows are cut to them
  inputs.train = load_rows(*config.data.train, config.data, inputs.loaded);
  if (config.data.validation) {
    inputs.validation = load_rows(*config.data.validation, config.data, inputs.loaded);
  }
  inputs.notes = notes_of(inputs);
  inputs.resident = current_rss();
  return inputs;
}

LoadOptions load_options(const RunConfig& config) {
  return {.model = config.model,
          .quantization = config.quantization,
          .trainable = !config.peft.has_value(),
          .seed = static_cast<u64>(config.training.seed),
          .require_finite = true};
}

std::optional<Adapter> add_adapter(const RunConfig& config, CausalLM& model) {
  if (!config.peft) {
    return {};
  }
  const RandomKey key = RandomKey(static_cast<u64>(config.training.seed)).with("adapter");
  if (config.peft->init_from) {
    require_same_scale(*config.peft, *config.peft->init_from);
  }
  return inject_adapter(model, *config.peft, {.key = key});
}

BatchSchedule schedule_of(const RunConfig& config, i64 rows) {
  return BatchSchedule({.rows = rows,
                        .batch_size = config.training.per_device_train_batch_size,
                        .accumulation = config.training.gradient_accumulation_steps,
                        .shuffle = config.data.shuffle,
                        .key = RandomKey(static_cast<u64>(config.training.seed))});
}

i64 total_steps(const TrainingConfig& config, const BatchSchedule& schedule) {
  if (config.max_steps > 0) {
    return config.max_steps;
  }
  return static_cast<i64>(
      std::ceil(config.num_train_epochs * static_cast<double>(schedule.steps_per_epoch())));
}

}  // namespace inlay
