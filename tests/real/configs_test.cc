// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/example_config.h"

namespace inlay {
namespace {

class RealConfig : public ::testing::TestWithParam<const char*> {};

TEST_P(RealConfig, LearnsFromItsFirstStep) {
  const char* model = std::getenv("INLAY_REAL_MODEL");
  if (model == nullptr) {
    GTEST_SKIP() << "INLAY_REAL_MODEL does not name a SmolLM2-135M-Instruct .gguf file: configs/"
                 << GetParam() << " was not run";
  }
  const RecordingListener run = run_example(GetParam(), 3, model);
  ASSERT_EQ(run.steps.size(), 3U);
  // A task the model has not seen, in words it knows: far from the log 49152 = 10.8 nats a token of
  // a model that was read wrongly, and not yet learnt.
  EXPECT_LT(run.steps[0].loss, 2.0);
  EXPECT_GT(run.steps[0].loss, 0.8);
  EXPECT_LT(run.steps[2].loss, run.steps[0].loss);
}

INSTANTIATE_TEST_SUITE_P(Examples, RealConfig,
                         ::testing::Values("quickstart-lora.json", "quickstart-qlora.json",
                                           "lora-over-q4_1.json", "full-finetune.json"));

}  // namespace
}  // namespace inlay
