// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/io/append_file.h"
#include "finetune/trainer.h"

namespace inlay {

/// metrics.jsonl: one JSON object a logged step and one an evaluation, numbers written so that they
/// read back exactly.
///   {"step","epoch","loss","grad_norm","learning_rate","tokens","tokens_per_second","rss_bytes","elapsed_s"}
///   {"step","epoch","eval_loss","eval_perplexity","eval_tokens"}
class MetricsLog {
 public:
  /// Goes on behind the lines of steps up to `last_step`; those of later steps, from before a
  /// resume, are dropped.
  MetricsLog(const std::string& path, i64 last_step);

  void write(const StepMetrics& metrics);
  void write(const EvalMetrics& metrics);
  void flush() { file_.flush(); }
  void sync() { file_.sync(); }

 private:
  AppendFile file_;
};

}  // namespace inlay
