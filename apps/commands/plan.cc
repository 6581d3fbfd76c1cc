// SPDX-License-Identifier: Apache-2.0
#include "apps/commands/plan.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/error.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

Json bytes_by_class(const MemoryReport& report) {
  Json out = Json::object();
  for (int c = 0; c < kMemoryClasses; ++c) {
    out[std::string(memory_class_name(static_cast<MemoryClass>(c)))] = report.bytes[c];
  }
  return out;
}

void print_plan_json(const RunPlan& plan, const std::string& problem) {
  const Forecast& f = plan.forecast;
  Json out = {{"model", plan.model},
              {"rope_scaling", plan.rope.empty() ? Json() : Json(plan.rope)},
              {"trainable", f.trainable},
              {"rows", plan.rows},
              {"validation_rows", plan.validation_rows},
              {"truncated_rows", plan.truncated_rows},
              {"skipped_rows", plan.skipped_rows},
              {"tokens", plan.tokens},
              {"trained_tokens", plan.trained_tokens},
              {"steps", plan.steps},
              {"steps_per_epoch", plan.steps_per_epoch},
              {"gradient_checkpointing", choice_name(plan.gradient_checkpointing)},
              {"gradient_checkpointing_layers", nullptr},
              {"prepack_weights", choice_name(plan.prepack_weights)},
              {"arithmetic", arithmetic_json(plan.arithmetic)},
              {"mflop_a_token", f.flops_a_token / 1e6},
              {"peak_tracked_bytes", f.peak.total()},
              {"peak_tracked", bytes_by_class(f.peak)},
              {"peak_rss_bytes", f.resident},
              {"allowed_bytes", plan.allowed},
              {"fits", problem.empty()}};
  if (plan.gradient_checkpointing_layers) {
    out["gradient_checkpointing_layers"] = *plan.gradient_checkpointing_layers;
  }
  std::puts(out.dump(2).c_str());
}

void print_plan_text(const RunPlan& plan) {
  const Forecast& f = plan.forecast;
  if (!f.adapter_table.empty()) {
    std::printf("%s\n", f.adapter_table.c_str());
  }
  std::printf("model       %s\n", plan.model.c_str());
  if (!plan.rope.empty()) {
    std::printf("rope        %s (model.rope_scaling)\n", plan.rope.c_str());
  }
  std::printf("trainable   %s parameters\n", readable_count(f.trainable).c_str());
  std::printf("data        %s\n", data_text(plan).c_str());
  std::printf("steps       %s (%s an epoch)\n", readable_count(plan.steps).c_str(),
              readable_count(plan.steps_per_epoch).c_str());
  std::printf("work        %s MFLOP a token\n", readable_number(f.flops_a_token / 1e6).c_str());
  std::printf("arithmetic  %s\n", arithmetic_text(plan.arithmetic).c_str());
  std::printf("recomputed  %s\n", recomputed_text(plan).c_str());
  if (plan.prepack_weights == Prepack::kAlways) {
    std::printf("prepacked   %s\n", kPrepackedText);
  }
  std::printf("memory      %s tracked at most (%s)\n", readable_bytes(f.peak.total()).c_str(),
              readable_memory(f.peak).c_str());
  std::printf("resident    %s at most, %s allowed\n", readable_bytes(f.resident).c_str(),
              readable_bytes(plan.allowed).c_str());
}

}  // namespace

Json arithmetic_json(const Arithmetic& arithmetic) {
  const auto& [compute, products, rates, reason] = arithmetic;
  return {{"compute_dtype", choice_name(compute)},
          {"bf16_products", products ? Json(choice_name(*products)) : Json()},
          {"reason", reason},
          {"f32_gflops_a_thread", rates ? Json(rates->f32 / 1e9) : Json()},
          {"bf16_gflops_a_thread", rates ? Json(rates->bf16 / 1e9) : Json()}};
}

std::string data_text(const RunPlan& plan) {
  std::string text = str(readable_count(plan.rows), " rows, ", readable_count(plan.tokens),
                         " tokens, ", readable_count(plan.trained_tokens), " trained on");
  if (plan.truncated_rows > 0) {
    text += str(", ", readable_count(plan.truncated_rows), " rows truncated");
  }
  if (plan.skipped_rows > 0) {
    text += str(", ", readable_count(plan.skipped_rows), " left out");
  }
  if (!plan.control_summary.empty()) {
    text += ", " + plan.control_summary;
  }
  return text;
}

std::string recomputed_text(const RunPlan& plan) {
  if (plan.gradient_checkpointing == Recompute::kNone) {
    return "nothing (gradient_checkpointing none)";
  }
  const std::string of = plan.gradient_checkpointing_layers
                             ? str("the first ", *plan.gradient_checkpointing_layers, " layers")
                             : std::string("every layer");
  return str(plan.gradient_checkpointing == Recompute::kBlock ? "all" : "selected products", " of ",
             of, " (gradient_checkpointing ", choice_name(plan.gradient_checkpointing), ")");
}

int run_plan(std::span<const std::string> arguments) {
  std::string file;
  std::vector<std::string> overrides;
  bool json = false;
  Arguments args("inlay plan",
                 "Says what a training would take before any weight is read: steps, work, memory. "
                 "Exit code 3 when it does not fit runtime.max_memory.");
  args.positional("RUN.json", file, "the run config; - for stdin")
      .option("--set", overrides, "set a key of the config, as in training.max_steps=10")
      .flag("--json", json, "print it as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  std::string problem;
  const RunPlan plan = plan_run(load_run_config(file, overrides), &problem);
  if (json) {
    print_plan_json(plan, problem);
  } else {
    print_plan_text(plan);
  }
  if (!problem.empty()) {
    throw MemoryError(problem);
  }
  return 0;
}

}  // namespace inlay
