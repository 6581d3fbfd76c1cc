// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "core/ops/linear.h"
#include "finetune/bench/machine.h"
#include "finetune/bench/timing.h"

/// What the benchmarks share: options, the machine, and how figures are printed.
namespace inlay {

struct BenchArguments {
  i64 steps = 5;
  i64 threads = 0;  // 0: all
  bool json = false;

  void declare(Arguments& arguments);
  /// Checks them and sets the number of threads. To be called before anything is measured.
  void apply() const;
};

/// The machine with one thread and with all in use. Measured after the work, whose peak of memory
/// it would hide.
std::vector<MachinePeak> measure_peaks();
/// The rate that products could reach: that of f32, on a processor without instructions for
/// `compute`.
double arithmetic_peak(const MachinePeak& machine, GemmCompute compute);
nlohmann::ordered_json machine_json(const std::vector<MachinePeak>& peaks);
/// "amx, 1 / 2 threads: f32 128 / 251 GFLOP/s, bf16 1720 / 3400 GFLOP/s, reading 11.2 / 19.8 GB/s"
std::string readable_machine(const std::vector<MachinePeak>& peaks);

/// {"median_s", "best_s", "median_rate", "best_rate", "rates": […], "cpu_rates": […]} of calls that
/// did `work` units each.
nlohmann::ordered_json timing_json(const Timing& timing, double work);

void print_json(const nlohmann::ordered_json& json);

}  // namespace inlay
