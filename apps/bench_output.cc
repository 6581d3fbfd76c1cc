// SPDX-License-Identifier: Apache-2.0
#include "apps/bench_output.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/console.h"
#include "core/error.h"
#include "core/kernels/cpu/isa/bf16_products.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/parallel.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// More steps than anyone waits for, and more threads than any machine has.
constexpr i64 kMaxSteps = 1000000;
constexpr i64 kMaxBenchThreads = 1024;

// "A / B unit", one number a thread count.
std::string readable_rates(const std::vector<MachinePeak>& peaks, double MachinePeak::*rate,
                           const char* unit) {
  std::string text;
  for (const MachinePeak& peak : peaks) {
    text += (text.empty() ? "" : " / ") + readable_number(peak.*rate / 1e9);
  }
  return text + " " + unit;
}

}  // namespace

void BenchArguments::declare(Arguments& arguments) {
  arguments.option("--steps", steps, "how often the work is timed, after once to warm up")
      .option("--threads", threads, "how many threads (default: one a processor)")
      .flag("--json", json, "print the result as JSON");
}

void BenchArguments::apply() const {
  require_at_least("--steps", steps, 1);
  require_at_most("--steps", steps, kMaxSteps);
  require_at_least("--threads", threads, 0);
  require_at_most("--threads", threads, kMaxBenchThreads);
  set_num_threads(threads == 0 ? available_processors() : static_cast<int>(threads));
}

std::vector<MachinePeak> measure_peaks() {
  std::vector<MachinePeak> peaks = {measure_machine(1)};
  if (num_threads() > 1) {
    peaks.push_back(measure_machine(num_threads()));
  }
  return peaks;
}

double arithmetic_peak(const MachinePeak& machine, GemmCompute compute) {
  const bool native = kernels::bf16_products() == kernels::Bf16Products::kNative;
  const double dots = compute == GemmCompute::kInt8             ? machine.int8_ops
                      : compute == GemmCompute::kBf16 && native ? machine.bf16_flops
                                                                : 0.0;
  return dots > 0.0 ? dots : machine.f32_flops;
}

Json machine_json(const std::vector<MachinePeak>& peaks) {
  Json out = {{"instruction_set", kernels::isa_name(kernels::active_isa())},
              {"threads", peaks.back().threads}};
  for (const MachinePeak& peak : peaks) {
    out["peak"].push_back({{"threads", peak.threads},
                           {"f32_gflops", peak.f32_flops / 1e9},
                           {"bf16_gflops", peak.bf16_flops / 1e9},
                           {"int8_gops", peak.int8_ops / 1e9},
                           {"read_gb_s", peak.read_bytes / 1e9}});
  }
  return out;
}

std::string readable_machine(const std::vector<MachinePeak>& peaks) {
  std::string threads;
  for (const MachinePeak& peak : peaks) {
    threads += (threads.empty() ? "" : " / ") + std::to_string(peak.threads);
  }
  std::string text = str(kernels::isa_name(kernels::active_isa()), ", ", threads, " threads: f32 ",
                         readable_rates(peaks, &MachinePeak::f32_flops, "GFLOP/s"));
  if (peaks.back().bf16_flops > 0.0) {
    text += ", bf16 " + readable_rates(peaks, &MachinePeak::bf16_flops, "GFLOP/s");
  }
  if (peaks.back().int8_ops > 0.0) {
    text += ", int8 " + readable_rates(peaks, &MachinePeak::int8_ops, "Gop/s");
  }
  return text + ", reading " + readable_rates(peaks, &MachinePeak::read_bytes, "GB/s");
}

Json timing_json(const Timing& timing, double work) {
  Json out = {{"median_s", timing.median()},
              {"best_s", timing.best()},
              {"median_rate", work / timing.median()},
              {"best_rate", work / timing.best()}};
  for (std::size_t i = 0; i < timing.wall.size(); ++i) {
    out["rates"].push_back(work / timing.wall[i]);
    out["cpu_rates"].push_back(work / timing.cpu[i]);
  }
  return out;
}

void print_json(const Json& json) {
  std::puts(json.dump(2).c_str());
}

}  // namespace inlay
