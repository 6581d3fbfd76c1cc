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

}  // namespace
}  // namespace inlay
