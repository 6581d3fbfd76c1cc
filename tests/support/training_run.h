// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "finetune/config/check.h"
#include "finetune/train_run.h"
#include "tests/support/temp_directory.h"

/// Whole training runs in tests: a config as JSON goes through the same reader as a user's file.
namespace inlay {

using OrderedJson = nlohmann::ordered_json;

/// What a run said, and on demand a stop behind so many of its steps.
class RecordingListener final : public RunListener {
 public:
  explicit RecordingListener(i64 stop_after = 0) : stop_after_(stop_after) {}

  void on_step(const StepMetrics& m) override { steps.push_back(m); }
  void on_eval(const EvalMetrics& m) override { evals.push_back(m); }
  void on_notice(const std::string& sentence) override { notices.push_back(sentence); }
  void on_adapter(const std::string& text) override { table = text; }
  void on_plan(const RunPlan& p) override { plan = p; }
  bool stop_requested() override { return ++asked_ == stop_after_; }  // once a step

  std::vector<StepMetrics> steps;
  std::vector<EvalMetrics> evals;
  std::vector<std::string> notices;
  std::string table;
  RunPlan plan;

 private:
  i64 stop_after_;
  i64 asked_ = 0;
};

/// The config read as from a file in `directory`.
inline RunConfig read_run_config(const TempDirectory& directory, const OrderedJson& json,
                                 const std::string& name = "run.json") {
  write_file(directory.file(name), json.dump(1));
  return load_run_config(directory.file(name));
}

inline void write_lines(const std::string& path, const std::vector<OrderedJson>& rows) {
  std::string text;
  for (const OrderedJson& row : rows) {
    text += row.dump() + "\n";
  }
  write_file(path, text);
}

inline std::string read_text(const std::string& path) {
  constexpr i64 kMaxBytes = 1 << 28;
  return file_system().read(path, kMaxBytes);
}

/// The lines of a run's metrics.jsonl, with what depends on the clock and the machine left out.
inline std::vector<OrderedJson> metrics_of(const std::string& output_dir) {
  std::istringstream lines(read_text(join_path(output_dir, "metrics.jsonl")));
  std::vector<OrderedJson> out;
  for (std::string line; std::getline(lines, line);) {
    OrderedJson json = OrderedJson::parse(line);
    for (const char* key : {"tokens_per_second", "rss_bytes", "elapsed_s"}) {
      json.erase(key);
    }
    out.push_back(std::move(json));
  }
  return out;
}

}  // namespace inlay
