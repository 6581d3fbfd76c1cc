// SPDX-License-Identifier: Apache-2.0
#include "finetune/train_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/writer.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/mapped_files.h"
#include "core/io/read_log.h"
#include "core/io/replaced_input.h"
#include "core/parallel.h"
#include "finetune/adapter_base.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/checkpoint_files.h"
#include "finetune/choose_checkpoint.h"
#include "finetune/hf_export.h"
#include "finetune/loaded_model.h"
#include "finetune/manifest.h"
#include "finetune/metrics_log.h"
#include "finetune/model_cache.h"
#include "finetune/plan/fit.h"
#include "finetune/resume.h"
#include "finetune/rows.h"
#include "finetune/run_directory.h"
#include "finetune/run_sources.h"
#include "nn/models/rope_override.h"

namespace inlay {

TrainerOptions make_trainer_options(const RunConfig& config, i64 steps) {
  const TrainingConfig& t = config.training;
  TrainerOptions o;
  o.schedule.kind = &schedule_named(t.lr_scheduler_type);
  o.schedule.learning_rate = t.learning_rate;
  o.schedule.total_steps = steps;
  o.schedule.warmup_steps =
      t.warmup_steps > 0 ? t.warmup_steps
                         : static_cast<i64>(std::ceil(t.warmup_ratio * static_cast<double>(steps)));
  o.optimizer_kind = &optimizer_named(t.optim);
  o.optimizer = {t.adam_beta1, t.adam_beta2, t.adam_epsilon, t.weight_decay};
  o.decay_norms_and_biases = t.weight_decay_on == DecayOn::kAll;
  o.max_grad_norm = t.max_grad_norm;
  o.seed = static_cast<u64>(t.seed);
  o.logging_steps = config.logging.logging_steps;
  o.eval_steps = config.eval.eval_steps;
  o.save_steps = config.save.save_steps;
  o.eval_batch_size = t.per_device_train_batch_size;
  o.recompute = t.gradient_checkpointing.value.value_or(Recompute::kNone);
  o.recompute_layers = t.gradient_checkpointing_layers;
  o.keep = t.activation_dtype == DType::kBf16 ? Keep::kRounded : Keep::kExact;
  o.compute = t.compute_dtype.value.value_or(GemmCompute::kF32);
  o.prepack = config.runtime.prepack_weights == Prepack::kAlways;
  o.attention = config.model.attn_implementation;
  return o;
}

namespace {

// What the files of a run say of it.
struct Records {
  const RunConfig& config;
  std::string settings;  // the text of config.resolved.json
  RunSources sources;
};

// Passes what the trainer says on to the listener and to the files of the run.
class Recorder final : public TrainerObserver {
 public:
  Recorder(RunListener& listener, const RunDirectory& directory, MetricsLog& log,
           const Records& records, const Adapter* adapter, const std::string& base)
      : listener_(listener),
        directory_(directory),
        log_(log),
        records_(records),
        adapter_(adapter),
        base_(base) {}

  void on_step(const StepMetrics& metrics) override {
    last_loss = metrics.loss;
    say(log_.write(metrics));
    listener_.on_step(metrics);
  }
  void on_eval(const EvalMetrics& metrics) override {
    validation = metrics.report;
    say(log_.write(metrics));
    listener_.on_eval(metrics);
  }
  void on_save(Trainer& trainer) override {
    require_mapped_files_unchanged();
    // The log's lines before the checkpoint: a resume from it finds the losses up to its step.
    say(log_.flush());
    const i64 step = trainer.state().step;
    save_checkpoint(directory_.checkpoint(step), trainer, adapter_, base_, records_.sources);
    directory_.checkpoint_saved(step, records_.config.save.save_total_limit);
    // Without its settings no checkpoint could be resumed from: they are written again if they are
    // gone.
    directory_.keep_settings(records_.settings);
  }
  bool stop_requested() override { return listener_.stop_requested(); }

  double last_loss = 0.0;
  std::optional<LossReport> validation;

 private:
  void say(const std::string& problem) {
    if (!problem.empty()) {
      listener_.on_notice(problem);
    }
  }

  RunListener& listener_;
  const RunDirectory& directory_;
  MetricsLog& log_;
  const Records& records_;
  const Adapter* adapter_;
  const std::string& base_;
};

// All that a run works on, in the order it is made.
struct Parts {
  RunInputs inputs;
  std::optional<Adapter> adapter;
  std::unique_ptr<BatchSchedule> schedule;
  std::unique_ptr<Trainer> trainer;
};

void load_parts(const RunConfig& config, RunListener& listener, Parts& parts) {
  LoadedModel& loaded = parts.inputs.loaded;
  load_weights(load_options(config), loaded);
  if (!config.peft) {
    require_exportable(loaded);
  }
  for (const std::string& notice : loaded.notices) {
    listener.on_notice(notice);
  }
  parts.adapter = add_adapter(config, *loaded.model);
  if (parts.adapter) {
    if (config.model.rope_scaling) {
      listener.on_notice(rope_scaling_note(config.model.rope_scaling));
    }
    if (config.peft->init_from) {
      load_adapter_tensors(*config.peft->init_from, *parts.adapter);
    }
    listener.on_adapter(adapter_table(*parts.adapter));
  }
  const Dataset& train = parts.inputs.train;
  for (const std::string& note : parts.inputs.notes) {
    listener.on_notice(note);
  }
  parts.schedule =
      std::make_unique<BatchSchedule>(schedule_of(config, static_cast<i64>(train.examples.size())));
  const std::span<const Example> validation =
      parts.inputs.validation ? std::span<const Example>(parts.inputs.validation->examples)
                              : std::span<const Example>();
  parts.trainer = std::make_unique<Trainer>(
      *loaded.model, *parts.schedule, train.examples, validation,
      make_trainer_options(config, total_steps(config.training, *parts.schedule)));
}

void require_data(const DataConfig& data) {
  require_rows(*data.train);
  if (data.validation) {
    require_rows(*data.validation);
  }
}

// Adapters name their base. A config's own paths are UTF-8, but not that of a cache elsewhere.
void require_name_in_json(const LoadedModel& loaded) {
  try {
    json_text(loaded.name);
  } catch (const ConfigError&) {
    throw ConfigError(str(printable(loaded.name, 300),
                          ": the path of this model is not UTF-8, which the files of a run cannot "
                          "say; rename the folder"));
  }
}

RunPlan plan_of(const FittedRun& fitted, const RunInputs& inputs) {
  const RunConfig& config = fitted.config;
  const BatchSchedule schedule =
      schedule_of(config, static_cast<i64>(inputs.train.examples.size()));
  RunPlan plan;
  plan.model = inputs.loaded.name;
  if (config.model.rope_scaling) {
    plan.rope = rope_scaling_text(*inputs.loaded.config);
  }
  plan.rows = inputs.train.report.rows;
  plan.validation_rows = inputs.validation ? inputs.validation->report.rows : 0;
  plan.tokens = inputs.train.report.tokens;
  plan.trained_tokens = inputs.train.report.trained;
  plan.truncated_rows = inputs.train.report.truncated;
  plan.skipped_rows = inputs.train.report.skipped;
  plan.control_summary = control_summary(inputs.train.report);
  plan.steps = total_steps(config.training, schedule);
  plan.steps_per_epoch = schedule.steps_per_epoch();
  plan.gradient_checkpointing =
      config.training.gradient_checkpointing.value.value_or(Recompute::kNone);
  plan.gradient_checkpointing_layers = config.training.gradient_checkpointing_layers;
  plan.prepack_weights = config.runtime.prepack_weights;
  plan.forecast = fitted.forecast;
  plan.allowed = fitted.allowed;
  return plan;
}

void use_threads(const RuntimeConfig& runtime) {
  set_num_threads(runtime.threads.is_auto() ? available_processors()
                                            : static_cast<int>(*runtime.threads.value));
}

std::string write_result(const RunDirectory& directory, Parts& parts) {
  if (parts.adapter) {
    AtomicDirectory folder(directory.adapter(), {.replace = true});
    save_adapter(folder.path(), *parts.adapter, parts.inputs.loaded.name);
    folder.commit();
    return directory.adapter();
  }
  AtomicDirectory folder(directory.model(), {.replace = true});
  write_hf_files(folder.path(), parts.inputs.loaded, DType::kF32);
  folder.commit();
  return directory.model();
}

RunDirectory::Mode mode_of(const TrainOptions& options) {
  if (options.resume && options.overwrite) {
    throw ConfigError("--resume and --overwrite exclude each other");
  }
  return options.resume      ? RunDirectory::Mode::kResume
         : options.overwrite ? RunDirectory::Mode::kOverwrite
                             : RunDirectory::Mode::kFresh;
}

// What the run reads, by the names that people have for it. A model of the cache that is not there
// is told when it is opened.
std::vector<CommandInput> inputs_of(const RunConfig& config, const TrainOptions& options) {
  std::vector<CommandInput> inputs;
  const auto add = [&](const char* what, const std::optional<std::string>& path) {
    if (path) {
      inputs.push_back({what, *path});
    }
  };
  const ModelConfig& model = config.model;
  if (model.model_name_or_path) {
    add("the base model", find_model_path(*model.model_name_or_path));
  }
  add("the tokenizer", model.tokenizer);
  add("the chat template", model.chat_template);
  add("the training data", config.data.train);
  add("the validation data", config.data.validation);
  if (config.peft) {
    add("the adapter to start from", config.peft->init_from);
  }
  if (options.overwrite) {  // a resumed run writes its settings anew, as they are
    for (const std::string& file : options.config_files) {
      add("the run config", file);
    }
  }
  return inputs;
}

// A checkpoint to go on from, of the same run: settings and data. The files that are read with the
// model are compared later.
ChosenCheckpoint open_checkpoint_of_run(const RunDirectory& directory, const std::string& which,
                                        RunConfig& config, RunListener& listener) {
  ChosenCheckpoint chosen = choose_checkpoint(directory, which);
  keep_recomputation(directory.config_file(), config);
  keep_template_date(directory.config_file(), config);
  keep_arithmetic(directory.config_file(), config);
  config = with_arithmetic(std::move(config));
  check_same_run(directory.config_file(), config);
  // A checkpoint elsewhere, of a run that moved or of another: that run's settings count, too.
  const std::string beside =
      join_path(parent_path(parent_path(chosen.path)), base_name(directory.config_file()));
  if (is_file(beside)) {
    check_same_run(beside, config);
  }
  require_data(config.data);
  check_same_data(config.data, chosen.state.data, digests_of(config.data));
  if (!chosen.state.sources) {
    listener.on_notice(str(chosen.path,
                           ": written by an older version, which noted no checksums of the base "
                           "model and tokenizer: whether they are the same is not known"));
  }
  return chosen;
}

// From the checkpoint, once everything is in its place.
void go_on_from(const ChosenCheckpoint& checkpoint, const Parts& parts, i64 steps) {
  const i64 step = checkpoint.state.trainer.step;
  if (step > steps) {
    throw DataError(
        str(checkpoint.path, ": a checkpoint of step ", step, ", and the run has ", steps));
  }
  load_checkpoint(checkpoint.path, checkpoint.state, *parts.trainer,
                  parts.adapter ? &*parts.adapter : nullptr);
}

// The checksums of what was read so far, held against those of the run that is gone on with.
void note_sources(const RunConfig& config, const RunInputs& inputs, const ReadLog& reads,
                  const std::optional<ChosenCheckpoint>& checkpoint, RunSources& sources) {
  const RunSources before =
      checkpoint ? checkpoint->state.sources.value_or(RunSources()) : RunSources();
  add_sources(config, inputs.loaded, reads, before, sources);
  if (checkpoint && checkpoint->state.sources) {
    sources.adapter = before.adapter;
    check_same_sources(before, sources, inputs.train.format->is_ids());
  }
}

RunResult train_and_write(const Records& records, const RunDirectory& directory, Parts& parts,
                          RunListener& listener) {
  const RunConfig& config = records.config;
  MetricsLog log(directory.metrics_file(), parts.trainer->state().step,
                 config.logging.logging_steps);
  Recorder recorder(listener, directory, log, records, parts.adapter ? &*parts.adapter : nullptr,
                    parts.inputs.loaded.name);
  RunResult result;
  const auto started = std::chrono::steady_clock::now();
  result.finished = parts.trainer->run(recorder);
  result.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  result.steps = parts.trainer->state().step;
  result.last_loss = recorder.last_loss;
  result.validation = recorder.validation;
  result.peak = peak_memory();
  if (result.finished) {
    require_mapped_files_unchanged();
    result.output = write_result(directory, parts);
    directory.keep_settings(records.settings);
  }
  // Whatever became of the log, the result is on disk by now.
  result.log_problem = log.finish();
  result.peak_rss = peak_rss();
  if (result.finished) {
    write_manifest(directory.manifest_file(), {.config = config,
                                               .sources = records.sources,
                                               .output = result.output,
                                               .loss_digest = log.loss_digest(),
                                               .steps = result.steps,
                                               .peak = result.peak,
                                               .peak_rss = result.peak_rss});
  }
  result.peak_rss = peak_rss();
  return result;
}

}  // namespace

void RunListener::on_notice(const std::string& /*sentence*/) {}
void RunListener::on_adapter(const std::string& /*table*/) {}
void RunListener::on_plan(const RunPlan& /*plan*/) {}

RunPlan plan_run(const RunConfig& given, std::string* problem) {
  const RunConfig config = with_arithmetic(given);
  use_threads(config.runtime);
  use_arithmetic(config.training);
  require_data(config.data);
  RunInputs inputs = open_run(config);
  const FittedRun fitted = fit_run(config, inputs);
  if (!fitted.fits()) {
    *problem = does_not_fit(fitted, inputs);
  }
  RunPlan plan = plan_of(fitted, inputs);
  plan.arithmetic = arithmetic_of(given);
  plan.memory = fitted.forecast.loaded;
  return plan;
}

RunResult run_training(const RunConfig& given, const TrainOptions& options, RunListener& listener) {
  RunConfig config = given;
  use_threads(config.runtime);
  reset_peak_memory();
  // First of all: what is about to be replaced may be what the run reads.
  if (options.overwrite || options.resume) {
    require_inputs_stay(paths_of_run(*config.save.output_dir), inputs_of(config, options),
                        "choose another save.output_dir");
  }
  std::optional<RunDirectory> directory;
  std::optional<ChosenCheckpoint> checkpoint;
  if (!options.dry_run) {
    directory.emplace(*config.save.output_dir, mode_of(options),
                      config.peft ? kAdapterFolder : kModelFolder);
    if (options.resume) {
      checkpoint = open_checkpoint_of_run(*directory, *options.resume, config, listener);
    }
  }
  const Arithmetic arithmetic = arithmetic_of(config);
  config = with_arithmetic(std::move(config));
  use_arithmetic(config.training);
  require_data(config.data);
  const ReadLog reads;
  Parts parts;
  parts.inputs = open_run(config);
  require_name_in_json(parts.inputs.loaded);
  const FittedRun fitted = fit_run(config, parts.inputs);
  if (!fitted.fits()) {
    throw MemoryError(does_not_fit(fitted, parts.inputs));
  }
  config = fitted.config;
  // What the clock said is part of the rows, and so of what a repetition has to be told.
  const std::optional<ChatTemplate>& chat = parts.inputs.loaded.chat_template;
  if (chat && chat->reads_date()) {
    config.model.template_date = parts.inputs.loaded.now.text();
  }
  Records records{config, "", {}};
  if (directory) {  // before the weights are loaded: a base that has changed need not be
    note_sources(config, parts.inputs, reads, checkpoint, records.sources);
  }
  load_parts(config, listener, parts);
  if (checkpoint) {
    go_on_from(*checkpoint, parts, total_steps(config.training, *parts.schedule));
  }
  RunPlan plan = plan_of(fitted, parts.inputs);
  plan.arithmetic = arithmetic;
  plan.first_step = parts.trainer->state().step;
  plan.memory = current_memory();
  listener.on_plan(plan);
  if (!directory) {
    return {};
  }
  note_sources(config, parts.inputs, reads, checkpoint, records.sources);
  // Paths as seen from the run's own directory, so that it can be repeated from there.
  records.settings = config_text(config, {.directory = directory->path()});
  // Everything the run needs has been loaded: only now may an earlier run be removed.
  directory->begin(records.settings);
  return train_and_write(records, *directory, parts, listener);
}

}  // namespace inlay
