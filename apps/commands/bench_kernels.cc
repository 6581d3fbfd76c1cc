// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/bench_output.h"
#include "apps/commands/bench.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/memory/memory.h"
#include "finetune/bench/kernel_bench.h"
#include "finetune/train_run.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// Sizes are multiplied with one another: none may come near the end of a 64-bit integer, and what
// does not fit in memory is refused where it is allocated.
constexpr i64 kMaxBenchSize = i64{1} << 24;

struct KernelCase {
  std::string name;
  Json sizes;
  std::vector<KernelTiming> timings;
};

void require_size(const char* option, i64 value) {
  require_at_least(option, value, 1);
  require_at_most(option, value, kMaxBenchSize);
}

Json case_json(const KernelCase& one, double peak_flops) {
  Json out = {{"name", one.name}};
  out.update(one.sizes);
  for (const KernelTiming& kernel : one.timings) {
    const bool counted = kernel.flops > 0.0;
    Json entry = timing_json(kernel.timing, (counted ? kernel.flops : kernel.bytes) / 1e9);
    entry["unit"] = counted ? "GFLOP/s" : "GB/s";
    if (counted) {
      entry["fraction_of_peak"] = kernel.flops / kernel.timing.median() / peak_flops;
    }
    if (kernel.bytes > 0.0) {
      entry["gb_s"] = kernel.bytes / kernel.timing.median() / 1e9;
    }
    out[kernel.name] = entry;
  }
  return out;
}

void print_case(const KernelCase& one, double peak_flops) {
  std::printf("\n%s\n", one.name.c_str());
  for (const KernelTiming& kernel : one.timings) {
    const double median = kernel.timing.median();
    std::printf("  %-22s %10.3f ms median %10.3f ms best", kernel.name.c_str(), 1e3 * median,
                1e3 * kernel.timing.best());
    if (kernel.flops > 0.0) {
      std::printf(" %8.1f GFLOP/s %6.1f %% of the peak", kernel.flops / median / 1e9,
                  100.0 * kernel.flops / median / peak_flops);
    }
    if (kernel.bytes > 0.0) {
      std::printf(" %8.2f GB/s", kernel.bytes / median / 1e9);
    }
    std::puts("");
  }
}

int report_cases(const char* benchmark, const std::vector<KernelCase>& cases, GemmCompute compute,
                 bool json) {
  const i64 rss = peak_rss();
  const std::vector<MachinePeak> machine = measure_peaks();
  const double peak = arithmetic_peak(machine.back(), compute);
  if (!json) {
    std::printf("machine  %s\n", readable_machine(machine).c_str());
    for (const KernelCase& one : cases) {
      print_case(one, peak);
    }
    return 0;
  }
  Json out = {
      {"benchmark", benchmark}, {"machine", machine_json(machine)}, {"peak_rss_bytes", rss}};
  for (const KernelCase& one : cases) {
    out["cases"].push_back(case_json(one, peak));
  }
  print_json(out);
  return 0;
}

KernelCase attention_case(const AttentionSizes& s, i64 steps) {
  return {str(s.batch, " x ", s.length, " tokens, ", s.heads, " heads over ", s.kv_heads, " of ",
              s.head_dim, s.bf16 ? ", bf16" : ", f32"),
          {{"batch", s.batch},
           {"length", s.length},
           {"heads", s.heads},
           {"kv_heads", s.kv_heads},
           {"head_dim", s.head_dim},
           {"compute_dtype", s.bf16 ? "bf16" : "f32"}},
          bench_attention(s, steps)};
}

KernelCase gemm_case(const GemmSizes& s, i64 steps) {
  const std::string_view compute = choice_name(s.compute);
  return {str("[", s.rows, ", ", s.inner, "] with a weight [", s.columns, ", ", s.inner, "] in ",
              s.format.name, s.compute == GemmCompute::kF32 ? "" : str(", multiplied in ", compute),
              s.bf16_values ? ", from bf16 to bf16" : ""),
          {{"rows", s.rows},
           {"inner", s.inner},
           {"columns", s.columns},
           {"format", s.format.name},
           {"compute_dtype", compute},
           {"values", s.bf16_values ? "bf16" : "f32"}},
          bench_gemm(s, steps)};
}

// The layers of SmolLM2-135M, with the tokens of a batch.
constexpr i64 kModelProducts[][2] = {{576, 576}, {576, 192}, {576, 1536}, {1536, 576}};
constexpr i64 kModelLengths[] = {512, 2048, 8192};

}  // namespace

int bench_attention_command(std::span<const std::string> arguments) {
  AttentionSizes sizes;
  sizes.length = 0;
  GemmCompute compute = GemmCompute::kF32;
  BenchArguments common;
  Arguments args(
      "inlay bench attention",
      "Times causal attention, forward and backward; GFLOP/s of the pairs that are seen.");
  args.option("--batch", sizes.batch, "sequences")
      .option("--length", sizes.length, "tokens of each (default: 512, 2048 and 8192 in turn)")
      .option("--heads", sizes.heads, "query heads")
      .option("--kv-heads", sizes.kv_heads, "key and value heads")
      .option("--head-dim", sizes.head_dim, "size of a head")
      .choice("--compute-dtype", compute, "what the products multiply: f32 or bf16",
              {GemmCompute::kF32, GemmCompute::kBf16});
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  sizes.bf16 = compute == GemmCompute::kBf16;
  require_size("--batch", sizes.batch);
  require_size("--heads", sizes.heads);
  require_size("--kv-heads", sizes.kv_heads);
  require_size("--head-dim", sizes.head_dim);
  if (sizes.heads % sizes.kv_heads != 0) {
    throw ConfigError(
        str("--kv-heads: expected a divisor of --heads ", sizes.heads, ", found ", sizes.kv_heads));
  }
  std::vector<KernelCase> cases;
  if (sizes.length != 0) {
    require_size("--length", sizes.length);
    cases.push_back(attention_case(sizes, common.steps));
  } else {
    for (const i64 length : kModelLengths) {
      sizes.length = length;
      cases.push_back(attention_case(sizes, common.steps));
    }
  }
  return report_cases("attention", cases, compute, common.json);
}

int bench_gemm_command(std::span<const std::string> arguments) {
  GemmSizes sizes;
  sizes.inner = sizes.columns = 0;
  std::string format = sizes.format.name;
  DType values = DType::kF32;
  BenchArguments common;
  Arguments args("inlay bench gemm",
                 "Times a linear layer: x [rows, inner] times a weight [columns, inner], and its "
                 "gradients.");
  args.option("--rows", sizes.rows, "tokens")
      .option("--inner", sizes.inner, "in_features (default: the layers of SmolLM2 in turn)")
      .option("--columns", sizes.columns, "out_features")
      .option("--format", format, "how the weight is stored: f32, bf16, nf4-dq, …")
      .choice("--compute-dtype", sizes.compute, "what the products multiply: f32, bf16 or int8")
      .choice("--values", values,
              "the type of x and of the result: f32, or bf16 with bf16 products",
              {DType::kF32, DType::kBf16});
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  sizes.bf16_values = values == DType::kBf16;
  sizes.format = weight_format(format);
  require_size("--rows", sizes.rows);
  if ((sizes.inner == 0) != (sizes.columns == 0)) {
    throw ConfigError("bench gemm: give both of --inner and --columns, or neither");
  }
  std::vector<KernelCase> cases;
  if (sizes.inner != 0) {
    require_size("--inner", sizes.inner);
    require_size("--columns", sizes.columns);
    cases.push_back(gemm_case(sizes, common.steps));
  } else {
    for (const auto& [inner, columns] : kModelProducts) {
      sizes.inner = inner;
      sizes.columns = columns;
      cases.push_back(gemm_case(sizes, common.steps));
    }
  }
  return report_cases("gemm", cases, sizes.compute, common.json);
}

int bench_quant_command(std::span<const std::string> arguments) {
  std::string format;
  i64 rows = 1536;
  i64 columns = 576;
  BenchArguments common;
  Arguments args("inlay bench quant",
                 "Times how fast weights are encoded, decoded, and multiplied with one row.");
  args.option("--format", format, "one storage format (default: each that can be encoded)")
      .option("--rows", rows, "rows of the weight")
      .option("--columns", columns, "its columns");
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  require_size("--rows", rows);
  require_size("--columns", columns);
  std::vector<KernelCase> cases;
  const std::vector<std::string> formats =
      format.empty() ? encodable_formats() : std::vector<std::string>{format};
  for (const std::string& each : formats) {
    const double bits = format_bits(each);
    cases.push_back({str(each, ", ", readable_number(bits), " bits a weight"),
                     {{"format", each}, {"rows", rows}, {"columns", columns}, {"bits", bits}},
                     bench_quant(each, rows, columns, common.steps)});
  }
  return report_cases("quant", cases, GemmCompute::kF32, common.json);
}

}  // namespace inlay
