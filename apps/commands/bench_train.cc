// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/bench_output.h"
#include "apps/commands/bench.h"
#include "apps/commands/bench_scaling.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/parallel.h"
#include "finetune/arithmetic.h"
#include "finetune/bench/shapes.h"
#include "finetune/bench/train_bench.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

std::string shapes() {
  std::string names;
  for (const std::string& name : bench_shape_names()) {
    names += (names.empty() ? "" : ", ") + name;
  }
  return names;
}

// The options as typed; 0 and "" are those that were left out.
struct TrainBenchArguments {
  std::string file;
  std::string shape, dtype, compute_dtype;
  std::optional<BenchPeft> peft;
  i64 rank = 0, batch = 0, length = 0;
  std::vector<std::string> overrides;
  bool profile = false, scaling = false;

  void declare(Arguments& args) {
    args.positional("RUN.json", file, "a run config; its data is not read", false)
        .option("--shape", shape, "instead: " + shapes() + "; the first is the default")
        .choice("--peft", peft, "with --shape: lora (default), qlora, or none for full training")
        .option("--rank", rank, "with --shape: rank of the adapter (default: 8)")
        .option("--dtype", dtype, "with --shape: storage of the weights, as model.dtype")
        .option("--batch", batch, "rows of a batch (default: 4, or the config's)")
        .option("--length", length, "tokens of a row (default: 512, or the config's max_length)")
        .option("--compute-dtype", compute_dtype, "as training.compute_dtype")
        .option("--set", overrides, "set a key of the config")
        .flag("--profile", profile, "print where the time goes, by op")
        .flag("--scaling", scaling,
              "with 1, 2, 4, … threads up to --threads: tokens/s, and where the rest went");
  }

  // The config, with `length` filled in.
  RunConfig config() {
    check();
    if (!compute_dtype.empty()) {
      overrides.push_back("training.compute_dtype=" + compute_dtype);
    }
    if (!file.empty()) {
      if (batch > 0) {
        overrides.push_back(str("training.per_device_train_batch_size=", batch));
      }
      RunConfig run = load_run_config(file, overrides);
      length = length > 0 ? length : run.data.max_length;
      return resolved(std::move(run));
    }
    BenchRun run;
    run.shape = shape.empty() ? run.shape : shape;
    run.peft = peft.value_or(run.peft);
    run.dtype = dtype.empty() ? run.dtype : dtype;
    run.rank = rank > 0 ? rank : run.rank;
    run.batch = batch > 0 ? batch : run.batch;
    run.length = length = length > 0 ? length : run.length;
    return resolved(bench_run_config(run, overrides));
  }

 private:
  // A bench computes the steps it is told to: it does not choose what to recompute.
  static RunConfig resolved(RunConfig run) {
    if (run.runtime.max_memory != IntegerOrString("auto") &&
        run.training.gradient_checkpointing.is_auto()) {
      throw ConfigError(
          "bench train: runtime.max_memory needs a plan: set training.gradient_checkpointing, as "
          "`inlay plan` prints it");
    }
    if (run.runtime.prepack_weights == Prepack::kAuto) {
      throw ConfigError(
          "bench train: runtime.prepack_weights \"auto\" needs a plan: set it to \"always\" or "
          "\"never\"");
    }
    return with_arithmetic(std::move(run));
  }

  void check() const {
    if (!file.empty() && !(shape.empty() && !peft && dtype.empty() && rank == 0)) {
      throw ConfigError(
          "bench train: --shape, --peft, --rank and --dtype describe a run without RUN.json (--set "
          "changes its keys)");
    }
    require_at_least("--rank", rank, 0);
    require_at_least("--batch", batch, 0);
    if (length != 0) {
      require_at_least("--length", length, 2);
    }
    if (profile && scaling) {
      throw ConfigError("bench train: --scaling has a profile of its own: leave out --profile");
    }
  }
};

Json memory_json(const MemoryReport& report) {
  Json out = Json::object();
  for (int c = 0; c < kMemoryClasses; ++c) {
    out[std::string(memory_class_name(static_cast<MemoryClass>(c)))] = report.bytes[c];
  }
  return out;
}

double profiled_seconds(const TrainBench& bench) {
  double total = 0.0;
  for (const profile::Entry& entry : bench.profile) {
    total += entry.seconds;
  }
  return std::max(total, 1e-9);
}

Json profile_json(const TrainBench& bench) {
  Json out = Json::array();
  for (const profile::Entry& entry : bench.profile) {
    out.push_back({{"op", entry.name},
                   {"phase", profile::phase_name(entry.phase)},
                   {"calls", entry.calls},
                   {"seconds", entry.seconds},
                   {"serial_seconds", entry.serial_seconds},
                   {"share", entry.seconds / profiled_seconds(bench)}});
  }
  return out;
}

void print_profile(const TrainBench& bench) {
  if (bench.profile.empty()) {
    return;
  }
  std::printf("\n%-24s %-9s %9s %10s %7s\n", "op", "phase", "calls", "seconds", "share");
  for (const profile::Entry& entry : bench.profile) {
    std::printf("%-24s %-9s %9ld %10.4f %6.1f %%\n", entry.name.c_str(),
                profile::phase_name(entry.phase), static_cast<long>(entry.calls), entry.seconds,
                100.0 * entry.seconds / profiled_seconds(bench));
  }
}

}  // namespace

int bench_train(std::span<const std::string> arguments) {
  TrainBenchArguments options;
  BenchArguments common;
  Arguments args(
      "inlay bench train",
      "Times training steps on random tokens: nothing is read but the model, and nothing "
      "written.");
  options.declare(args);
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  const RunConfig config = options.config();
  if (options.scaling) {
    report_scaling(config,
                   bench_scaling(config, {.length = options.length, .steps = common.steps},
                                 scaling_threads(num_threads())),
                   common.json);
    return 0;
  }
  const TrainBench bench = bench_training(
      config, {.length = options.length, .steps = common.steps, .profile = options.profile});
  const std::vector<MachinePeak> machine = measure_peaks();
  const double peak = arithmetic_peak(machine.back(), *config.training.compute_dtype.value);
  if (common.json) {
    Json out = {{"model", bench.model},
                {"batch", config.training.per_device_train_batch_size},
                {"length", options.length},
                {"tokens_a_step", bench.tokens},
                {"trained_parameters", bench.trained_parameters},
                {"step", timing_json(bench.step, static_cast<double>(bench.tokens))},
                {"tokens_per_second", bench.tokens_per_second()},
                {"useful_mflop_a_token", bench.work.training() / 1e6},
                {"useful_gflops", bench.useful_flops() / 1e9},
                {"fraction_of_peak", bench.useful_flops() / peak},
                {"peak_tracked_bytes", bench.peak.total()},
                {"peak_tracked", memory_json(bench.peak)},
                {"peak_rss_bytes", bench.peak_rss},
                {"last_loss", bench.last_loss},
                {"machine", machine_json(machine)}};
    if (options.profile) {
      out["profile"] = profile_json(bench);
    }
    print_json(out);
    return 0;
  }
  std::printf("model    %s, %s parameters trained, steps of %ld x %ld tokens\n",
              bench.model.c_str(), readable_count(bench.trained_parameters).c_str(),
              static_cast<long>(bench.tokens / options.length), static_cast<long>(options.length));
  std::printf("machine  %s\n", readable_machine(machine).c_str());
  std::printf("step     %s s median, %s s best of %zu\n",
              readable_number(bench.step.median()).c_str(),
              readable_number(bench.step.best()).c_str(), bench.step.wall.size());
  std::printf("speed    %s tokens/s, %s useful MFLOP a token: %s GFLOP/s, %.1f %% of the peak\n",
              readable_number(bench.tokens_per_second()).c_str(),
              readable_number(bench.work.training() / 1e6).c_str(),
              readable_number(bench.useful_flops() / 1e9).c_str(),
              100.0 * bench.useful_flops() / peak);
  std::printf("memory   %s tracked at most (%s), %s resident\n",
              readable_bytes(bench.peak.total()).c_str(), readable_memory(bench.peak).c_str(),
              readable_bytes(bench.peak_rss).c_str());
  print_profile(bench);
  return 0;
}

}  // namespace inlay
