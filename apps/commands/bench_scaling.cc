// SPDX-License-Identifier: Apache-2.0
#include "apps/commands/bench_scaling.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/bench_output.h"
#include "apps/console.h"
#include "core/error.h"
#include "finetune/bench/scaling.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// What a step costs beyond its share of one thread's, in seconds.
double lost_seconds(const std::vector<ScalingLoss>& losses) {
  double lost = 0.0;
  for (const ScalingLoss& loss : losses) {
    lost += loss.lost;
  }
  return lost;
}

struct Row {
  int threads;
  double tokens_per_second, speedup, efficiency, fraction_of_peak, serial;
};

Row row_of(const ScalingStep& step, const ScalingStep& first, GemmCompute compute) {
  Row row{};
  row.threads = step.machine.threads;
  row.tokens_per_second = step.bench.tokens_per_second();
  row.speedup = row.tokens_per_second / first.bench.tokens_per_second();
  row.efficiency = row.speedup / row.threads;
  row.fraction_of_peak = step.bench.useful_flops() / arithmetic_peak(step.machine, compute);
  double seconds = 0.0;
  for (const profile::Entry& entry : step.bench.profile) {
    seconds += entry.seconds;
    row.serial += entry.serial_seconds;
  }
  row.serial /= seconds;
  return row;
}

void print_scaling_json(const RunConfig& config, const std::vector<ScalingStep>& steps,
                        GemmCompute compute) {
  std::vector<MachinePeak> peaks;
  for (const ScalingStep& step : steps) {
    peaks.push_back(step.machine);
  }
  const TrainBench& bench = steps.front().bench;
  Json out = {{"model", bench.model},
              {"batch", config.training.per_device_train_batch_size},
              {"tokens_a_step", bench.tokens},
              {"trained_parameters", bench.trained_parameters},
              {"useful_mflop_a_token", bench.work.training() / 1e6},
              {"machine", machine_json(peaks)}};
  for (const ScalingStep& step : steps) {
    const Row row = row_of(step, steps.front(), compute);
    out["scaling"].push_back(
        {{"threads", row.threads},
         {"step", timing_json(step.bench.step, static_cast<double>(step.bench.tokens))},
         {"tokens_per_second", row.tokens_per_second},
         {"speedup", row.speedup},
         {"efficiency", row.efficiency},
         {"fraction_of_peak", row.fraction_of_peak},
         {"serial_share", row.serial},
         {"peak_rss_bytes", step.bench.peak_rss}});
  }
  const std::vector<ScalingLoss> losses = scaling_losses(steps);
  out["lost_seconds_a_step"] = lost_seconds(losses);
  for (const ScalingLoss& loss : losses) {
    out["lost"].push_back({{"op", loss.op},
                           {"phase", profile::phase_name(loss.phase)},
                           {"one_thread_s", loss.one_thread},
                           {"seconds", loss.seconds},
                           {"serial_s", loss.serial},
                           {"lost_s", loss.lost}});
  }
  print_json(out);
}

void print_losses(const std::vector<ScalingStep>& steps) {
  const std::vector<ScalingLoss> losses = scaling_losses(steps);
  const int threads = steps.back().machine.threads;
  const double lost = lost_seconds(losses);
  std::printf(
      "\nwhere the rest went: a step with %d threads takes %s ms more than 1/%d of one "
      "thread's\n%-24s %-9s %11s %11s %11s %11s %8s\n",
      threads, readable_number(1e3 * lost).c_str(), threads, "op", "phase", "1 thread ms",
      str(threads, " ms").c_str(), "serial ms", "lost ms", "speedup");
  for (const ScalingLoss& loss : losses) {
    std::printf("%-24s %-9s %11.3f %11.3f %11.3f %11.3f %8.2f\n", loss.op.c_str(),
                profile::phase_name(loss.phase), 1e3 * loss.one_thread, 1e3 * loss.seconds,
                1e3 * loss.serial, 1e3 * loss.lost,
                loss.seconds > 0.0 ? loss.one_thread / loss.seconds : 0.0);
  }
}

}  // namespace

void report_scaling(const RunConfig& config, const std::vector<ScalingStep>& steps, bool json) {
  const GemmCompute compute = *config.training.compute_dtype.value;
  if (json) {
    print_scaling_json(config, steps, compute);
    return;
  }
  const TrainBench& bench = steps.front().bench;
  std::printf("model    %s, %s parameters trained, steps of %ld tokens\n", bench.model.c_str(),
              readable_count(bench.trained_parameters).c_str(), static_cast<long>(bench.tokens));
  std::vector<MachinePeak> peaks;
  for (const ScalingStep& step : steps) {
    peaks.push_back(step.machine);
  }
  std::printf("machine  %s\n\n%7s %12s %8s %11s %12s %8s\n", readable_machine(peaks).c_str(),
              "threads", "tokens/s", "speedup", "efficiency", "of the peak", "serial");
  for (const ScalingStep& step : steps) {
    const Row row = row_of(step, steps.front(), compute);
    std::printf("%7d %12s %8.2f %9.1f %% %10.1f %% %6.2f %%\n", row.threads,
                readable_number(row.tokens_per_second).c_str(), row.speedup, 100 * row.efficiency,
                100 * row.fraction_of_peak, 100 * row.serial);
  }
  if (steps.size() > 1) {
    print_losses(steps);
  }
}

}  // namespace inlay
