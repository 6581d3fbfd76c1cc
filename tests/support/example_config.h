// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/training_run.h"

namespace inlay {

/// A few steps of configs/<name>, on another model file when one is given.
inline RecordingListener run_example(const std::string& name, i64 steps,
                                     const std::string& model = "") {
  const TempDirectory directory;
  std::vector<std::string> overrides = {str("save.output_dir=", directory.file("run")),
                                        str("training.max_steps=", steps), "data.validation=null"};
  if (!model.empty()) {
    overrides.push_back("model.model_name_or_path=" + model);
  }
  RecordingListener listener;
  const RunConfig config = load_run_config(INLAY_SOURCE_DIR "/configs/" + name, overrides);
  const RunResult result = run_training(config, {}, listener);
  EXPECT_TRUE(is_directory(result.output)) << name;
  // What a plan promises. Of the resident set this process has a part before the run.
  const auto measured = static_cast<double>(result.peak.total());
  EXPECT_NEAR(static_cast<double>(listener.plan.forecast.peak.total()), measured, 0.05 * measured);
  return listener;
}

}  // namespace inlay
