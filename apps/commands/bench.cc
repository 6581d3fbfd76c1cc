// SPDX-License-Identifier: Apache-2.0
#include "apps/commands/bench.h"

#include <cstdio>
#include <vector>

#include "apps/commands.h"
#include "core/error.h"

namespace inlay {
namespace {

struct Benchmark {
  const char* name;
  const char* help;
  int (*run)(std::span<const std::string> arguments);
};

constexpr Benchmark kBenchmarks[] = {
    {"train", "training steps: tokens/s, GFLOP/s, memory, and where the time goes", bench_train},
    {"attention", "causal attention, forward and backward", bench_attention_command},
    {"gemm", "products of a linear layer, forward and backward", bench_gemm_command},
    {"quant", "storage formats: encoding, decoding, and products with one row",
     bench_quant_command},
    {"generate", "reading a prompt, and writing tokens one by one", bench_generate},
    {"tokenize", "text to token ids", bench_tokenize},
};

void print_bench_help() {
  std::puts(
      "Measures speed and memory, and holds them against the peak of this machine.\n"
      "\n"
      "Usage: inlay bench BENCHMARK [OPTIONS]\n"
      "\n"
      "Benchmarks:");
  for (const Benchmark& benchmark : kBenchmarks) {
    std::printf("  %-10s %s\n", benchmark.name, benchmark.help);
  }
  std::puts("\n`inlay bench BENCHMARK --help` tells more.");
}

}  // namespace

int run_bench(std::span<const std::string> arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    print_bench_help();
    return arguments.empty() ? static_cast<int>(ExitCode::kUsage) : 0;
  }
  std::vector<std::string> names;
  std::string known;
  for (const Benchmark& benchmark : kBenchmarks) {
    if (arguments[0] == benchmark.name) {
      return benchmark.run(arguments.subspan(1));
    }
    names.emplace_back(benchmark.name);
    known += (known.empty() ? "" : ", ") + names.back();
  }
  throw ConfigError(str("bench: unknown benchmark \"", printable(arguments[0]), "\"",
                        did_you_mean(arguments[0], names), "; there are: ", known));
}

}  // namespace inlay
