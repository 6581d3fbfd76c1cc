// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/commands/plan.h"
#include "apps/console.h"
#include "apps/signals.h"
#include "core/error.h"
#include "core/io/read_log.h"
#include "finetune/config/check.h"
#include "finetune/train_run.h"

namespace inlay {
namespace {

// What a person watching sees, on stderr: a line a logged step, on a terminal under a bar that
// moves with every one.
class ConsoleListener final : public RunListener {
 public:
  void on_notice(const std::string& sentence) override { print_notice(sentence); }

  void on_adapter(const std::string& table) override {
    std::fprintf(stderr, "%s\n", table.c_str());
  }

  void on_plan(const RunPlan& plan) override {
    total_ = plan.steps;
    notice_refused_threads();
    std::fprintf(stderr, "model       %s\n", plan.model.c_str());
    std::fprintf(stderr, "trainable   %s parameters\n",
                 readable_count(plan.forecast.trainable).c_str());
    std::fprintf(stderr, "data        %s", data_text(plan).c_str());
    if (plan.validation_rows > 0) {
      std::fprintf(stderr, "; %s rows to validate", readable_count(plan.validation_rows).c_str());
    }
    std::fprintf(stderr, "\nsteps       %s (%s an epoch)", readable_count(plan.steps).c_str(),
                 readable_count(plan.steps_per_epoch).c_str());
    if (plan.first_step > 0) {
      std::fprintf(stderr, ", resumed after step %s", readable_count(plan.first_step).c_str());
    }
    std::fprintf(stderr, "\narithmetic  %s\n", arithmetic_text(plan.arithmetic).c_str());
    std::fprintf(stderr, "recomputed  %s\n", recomputed_text(plan).c_str());
    if (plan.prepack_weights == Prepack::kAlways) {
      std::fprintf(stderr, "prepacked   %s\n", kPrepackedText);
    }
    std::fprintf(stderr, "memory      %s after loading (%s); at most %s resident expected\n\n",
                 readable_bytes(plan.memory.total()).c_str(), readable_memory(plan.memory).c_str(),
                 readable_bytes(plan.forecast.resident).c_str());
  }

  void on_step(const StepMetrics& m) override {
    const std::string detail = str("loss ", readable_number(m.loss), "  ",
                                   readable_number(m.tokens_per_second, 3), " tokens/s");
    if (stderr_is_terminal()) {
      bar_.update(m.step, total_, detail);
    }
    // Off a terminal some twenty lines tell the story; metrics.jsonl has them all.
    const i64 every = std::max<i64>(1, total_ / 20);
    if (!stderr_is_terminal() && (m.step % every == 0 || m.step == 1 || m.step == total_)) {
      std::fprintf(
          stderr, "step %*ld/%ld  epoch %.2f  loss %-8s grad_norm %-8s lr %-9s %s tokens/s\n",
          static_cast<int>(std::to_string(total_).size()), static_cast<long>(m.step),
          static_cast<long>(total_), m.epoch, readable_number(m.loss).c_str(),
          readable_number(m.grad_norm, 3).c_str(), readable_number(m.learning_rate, 3).c_str(),
          readable_number(m.tokens_per_second, 3).c_str());
    }
  }

  void on_eval(const EvalMetrics& m) override {
    bar_.clear();
    std::fprintf(stderr, "step %ld  validation loss %s  perplexity %s\n", static_cast<long>(m.step),
                 readable_number(m.report.loss).c_str(),
                 readable_number(m.report.perplexity()).c_str());
  }

  bool stop_requested() override { return StopSignals::received() != 0; }

  void done() { bar_.clear(); }

 private:
  i64 total_ = 0;
  ProgressLine bar_{"training"};
};

void print_result(const RunResult& result, bool json) {
  if (!json) {
    std::printf("%ld steps in %.1f s, last loss %s", static_cast<long>(result.steps),
                result.seconds, readable_number(result.last_loss).c_str());
    if (result.validation) {
      std::printf(", validation loss %s", readable_number(result.validation->loss).c_str());
    }
    std::printf("\npeak memory: %s tracked (%s), %s resident\nwritten: %s\n",
                readable_bytes(result.peak.total()).c_str(), readable_memory(result.peak).c_str(),
                readable_bytes(result.peak_rss).c_str(), result.output.c_str());
    return;
  }
  nlohmann::ordered_json out = {{"finished", result.finished},
                                {"steps", result.steps},
                                {"last_loss", result.last_loss},
                                {"seconds", result.seconds},
                                {"peak_tracked_bytes", result.peak.total()},
                                {"peak_rss_bytes", result.peak_rss},
                                {"output", result.output}};
  if (result.validation) {
    out["eval_loss"] = result.validation->loss;
  }
  std::puts(out.dump(2).c_str());
}

}  // namespace

int run_train(std::span<const std::string> arguments) {
  std::string file;
  std::vector<std::string> overrides;
  std::string resume;
  i64 max_steps = -1;
  TrainOptions options;
  bool json = false;
  Arguments args("inlay train",
                 "Runs a training from its config: LoRA, QLoRA, full, or from scratch.");
  args.positional("RUN.json", file, "the run config (inlay config init makes one); - for stdin")
      .option("--set", overrides, "set a key of the config, as in training.learning_rate=1e-4")
      .option("--max-steps", max_steps, "short for --set training.max_steps=N")
      .option("--resume", resume,
              "go on with the run in the output directory, from \"last\" or a checkpoint")
      .optional_value("last")
      .flag("--overwrite", options.overwrite,
            "remove what an earlier run wrote in the output directory, and begin anew")
      .flag("--dry-run", options.dry_run, "load and check everything, then stop; writes nothing")
      .flag("--json", json, "print the result as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  if (max_steps != -1) {
    overrides.push_back(str("training.max_steps=", max_steps));
  }
  if (!resume.empty()) {
    options.resume = resume;
  }
  // Which files the config came from: --overwrite must not remove them.
  const ReadLog reads;
  const RunConfig config = load_run_config(file, overrides);
  for (const ReadLog::Entry& read : reads.entries()) {
    options.config_files.push_back(read.path);
  }
  const StopSignals signals;
  ConsoleListener listener;
  const RunResult result = run_training(config, options, listener);
  listener.done();
  if (options.dry_run) {
    std::puts("dry run: everything is in place, nothing was written");
    return 0;
  }
  if (!result.finished) {
    const int number = StopSignals::received();
    std::fprintf(stderr, "stopped by %s after step %ld; --resume goes on from there\n",
                 std::string(StopSignals::name()).c_str(), static_cast<long>(result.steps));
    return 128 + number;
  }
  print_result(result, json);
  // Last: the result is written and reported, and only the exit code tells of the log.
  if (!result.log_problem.empty()) {
    throw IoError(result.log_problem);
  }
  return 0;
}

}  // namespace inlay
