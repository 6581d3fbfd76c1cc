// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/bench_output.h"
#include "apps/commands/bench.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/memory/memory.h"
#include "finetune/bench/generate_bench.h"
#include "finetune/bench/shapes.h"
#include "finetune/loaded_model.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// A million tokens: more than any model here has positions for.
constexpr i64 kMaxBenchTokens = 1 << 20;

LoadedModel load_for_bench(const std::string& model, const std::string& shape,
                           AutoOr<DType> dtype) {
  if (model.empty()) {
    BenchRun run;
    run.shape = shape.empty() ? run.shape : shape;
    run.dtype = choice_name(dtype);
    return load_model({.model = bench_run_config(run, {}).model, .quantization = {}});
  }
  if (!shape.empty()) {
    throw ConfigError("bench generate: give one of --model and --shape");
  }
  LoadOptions options;
  options.model.model_name_or_path = model;
  options.model.dtype = dtype;
  return load_model(options);
}

void print_phase(const char* name, const Timing& timing, i64 tokens) {
  std::printf("%-8s %ld tokens in %s s median, %s s best: %s tokens/s\n", name,
              static_cast<long>(tokens), readable_number(timing.median()).c_str(),
              readable_number(timing.best()).c_str(),
              readable_number(static_cast<double>(tokens) / timing.median()).c_str());
}

}  // namespace

int bench_generate(std::span<const std::string> arguments) {
  std::string model;
  std::string shape;
  AutoOr<DType> dtype;
  i64 length = 512;
  i64 new_tokens = 64;
  BenchArguments common;
  Arguments args("inlay bench generate",
                 "Times reading a prompt and writing the tokens after it, one sequence at a time.");
  args.option("-m,--model", model, "Hugging Face folder, .gguf file, or a model of the local cache")
      .option("--shape", shape, "instead, with random weights: smollm2-135m (default), …")
      .choice("--dtype", dtype, "storage of the weights: auto, f32, bf16",
              {DType::kF32, DType::kBf16})
      .option("--length", length, "tokens of the prompt")
      .option("-n,--new-tokens", new_tokens, "tokens to write");
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  require_at_least("--length", length, 1);
  require_at_least("--new-tokens", new_tokens, 2);
  if (length + new_tokens > kMaxBenchTokens) {
    throw ConfigError(str("--length: expected at most ", kMaxBenchTokens,
                          " tokens with the new ones, found ", length, " and ", new_tokens));
  }
  const LoadedModel loaded = load_for_bench(model, shape, dtype);
  reset_peak_memory();
  const GenerateBench bench = bench_generation(*loaded.model, length, new_tokens, common.steps);
  const MemoryReport peak = peak_memory();
  const i64 rss = peak_rss();
  const std::vector<MachinePeak> machine = measure_peaks();
  if (common.json) {
    print_json(
        {{"benchmark", "generate"},
         {"machine", machine_json(machine)},
         {"peak_tracked_bytes", peak.total()},
         {"peak_rss_bytes", rss},
         {"cases",
          {{{"name", loaded.name},
            {"prompt_tokens", bench.prompt_tokens},
            {"decoded_tokens", bench.decoded_tokens},
            {"prompt", timing_json(bench.prompt, static_cast<double>(bench.prompt_tokens))},
            {"decode", timing_json(bench.decode, static_cast<double>(bench.decoded_tokens))}}}}});
    return 0;
  }
  std::printf("model    %s\nmachine  %s\n", loaded.name.c_str(), readable_machine(machine).c_str());
  print_phase("prompt", bench.prompt, bench.prompt_tokens);
  print_phase("decode", bench.decode, bench.decoded_tokens);
  std::printf("memory   %s tracked at most, %s resident\n", readable_bytes(peak.total()).c_str(),
              readable_bytes(rss).c_str());
  return 0;
}

}  // namespace inlay
