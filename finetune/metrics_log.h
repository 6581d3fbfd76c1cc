// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/io/append_file.h"
#include "core/io/sha256.h"
#include "finetune/trainer.h"

namespace inlay {

/// metrics.jsonl: one JSON object a logged step and one an evaluation, numbers written so that they
/// read back exactly.
///   {"step","epoch","loss","grad_norm","learning_rate","tokens","tokens_per_second","rss_bytes","elapsed_s"}
///   {"step","epoch","eval_loss","eval_perplexity","eval_tokens"}
///
/// No training ends for its log. Lines that the disk does not take are kept and tried again; a file
/// that another program has removed or changed is started anew. What happened is a sentence, to be
/// said when it is noticed.
class MetricsLog {
 public:
  /// Goes on behind the lines of steps up to `last_step`; those of later steps, from before a
  /// resume, are dropped. A run logs every `logging_steps`. Throws IoError.
  MetricsLog(const std::string& path, i64 last_step, i64 logging_steps);

  /// What went wrong with the log for the first time, or "".
  std::string write(const StepMetrics& metrics);
  std::string write(const EvalMetrics& metrics);
  std::string flush();

  /// The end of a run: all lines are to survive a power cut. What of the log is lost, or "".
  std::string finish();

  /// SHA-256 over the 8 bytes of each logged loss, in order: two runs are the same when this is.
  /// Nothing when the run was resumed without the log of its first steps.
  std::optional<std::string> loss_digest() const;

 private:
  std::string keep(const std::string& line, i64 step);
  void start_anew();
  void add_loss(double loss);

  std::string path_;
  std::unique_ptr<AppendFile> file_;
  Sha256 losses_;
  bool whole_ = true;  // losses_ has those of all steps
  std::string last_line_;
  i64 last_step_ = 0;
  std::string lost_;     // for good
  std::string refused_;  // by the disk, to be tried again
};

}  // namespace inlay
