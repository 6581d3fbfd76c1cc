// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "finetune/config/run_config.h"

namespace inlay {

/// The shapes benchmarks know by name: "smollm2-135m", "gemma3-270m" and so on.
std::vector<std::string> bench_shape_names();

/// The model keys (as in config.json) of a shape, as JSON text. Throws ConfigError for a name there
/// is not, with the nearest one.
std::string bench_shape(const std::string& name);

/// What a training benchmark trains.
enum class BenchPeft {
  kLora,
  kQlora,  // over NF4, double quantisation
  kNone,   // all weights
};
template <>
struct ChoicesOf<BenchPeft> {
  static std::span<const Choice<BenchPeft>> all();
};

/// What the options of a training benchmark say; a run config says the same in more words.
struct BenchRun {
  std::string shape = "smollm2-135m";
  BenchPeft peft = BenchPeft::kLora;
  i64 rank = 8;
  i64 batch = 4;
  i64 length = 512;
  std::string dtype = "auto";  // storage of the weights
};

/// The run config of it, with random weights, complete and checked, `overrides` (a.b=c) on top.
/// Throws ConfigError.
RunConfig bench_run_config(const BenchRun& run, const std::vector<std::string>& overrides);

}  // namespace inlay
