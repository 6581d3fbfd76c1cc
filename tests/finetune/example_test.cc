// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/example_config.h"

namespace inlay {
namespace {

TEST(ExampleConfig, TrainsGpt2OnBytesFromScratch) {
  const RecordingListener run = run_example("gpt2-bytes.json", 30);
  ASSERT_EQ(run.steps.size(), 30U);
  // Random weights know nothing: log 256 nats a byte. The commonest bytes are learnt within steps.
  EXPECT_NEAR(run.steps[0].loss, std::log(256.0), 0.1);
  EXPECT_LT(run.steps[29].loss, 3.5);
}

TEST(ExampleConfig, MakesALlamaOfItsOwnLonger) {
  const TempDirectory directory;
  const auto run = [&](const std::string& name, std::vector<std::string> overrides) {
    overrides.push_back("training.max_steps=3");
    overrides.push_back("data.validation=null");
    overrides.push_back(str("save.output_dir=", directory.file(name)));
    RecordingListener listener;
    run_training(load_run_config(str(INLAY_SOURCE_DIR "/configs/", name, ".json"), overrides), {},
                 listener);
    return listener;
  };
  run("llama-bytes", {});
  const std::string model = directory.file("llama-bytes/model");
  const RecordingListener longer = run("longer-llama-bytes", {"model.model_name_or_path=" + model});
  EXPECT_EQ(longer.plan.rope, "yarn, factor 2, 256 positions");
  EXPECT_EQ(longer.steps.size(), 3U);
}

}  // namespace
}  // namespace inlay
