// SPDX-License-Identifier: Apache-2.0
#include "core/profile.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <thread>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"
#include "core/parallel.h"
#include "core/tensor/tensor.h"

namespace inlay {
namespace {

using profile::Phase;

std::map<std::pair<std::string, Phase>, profile::Entry> by_name(
    const std::vector<profile::Entry>& entries) {
  std::map<std::pair<std::string, Phase>, profile::Entry> out;
  for (const profile::Entry& entry : entries) {
    out[{entry.name, entry.phase}] = entry;
  }
  return out;
}

TEST(Profile, CountsNothingUnlessStarted) {
  profile::start();
  profile::stop();
  profile::mark("late", Phase::kOther);
  EXPECT_TRUE(profile::stop().empty());
}

TEST(Profile, GivesTheTimeSinceTheLastMarkToTheNextOne) {
  profile::start();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  profile::mark("slow", Phase::kOther);
  profile::mark("quick", Phase::kOther);
  profile::mark("quick", Phase::kForward);
  const std::vector<profile::Entry> entries = profile::stop();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "slow");  // the longest first
  EXPECT_GE(entries[0].seconds, 0.02);
  EXPECT_EQ(entries[0].calls, 1);
}

TEST(Profile, TellsWhatNoSecondThreadCanTake) {
  constexpr auto kNap = std::chrono::milliseconds(10);
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    profile::start();
    std::this_thread::sleep_for(kNap);
    parallel_for(1, [&](i64 /*task*/) { std::this_thread::sleep_for(kNap); });
    profile::mark("serial", Phase::kOther);
    parallel_for(2, [&](i64 /*task*/) {
      // Inside of another, a call counts once.
      parallel_for(2, [&](i64 /*inner*/) { std::this_thread::sleep_for(kNap); });
    });
    profile::mark("parallel", Phase::kOther);
    const auto entries = by_name(profile::stop());
    const profile::Entry& serial = entries.at({"serial", Phase::kOther});
    EXPECT_GE(serial.seconds, 0.02);
    EXPECT_DOUBLE_EQ(serial.serial_seconds, serial.seconds);
    const profile::Entry& parallel = entries.at({"parallel", Phase::kOther});
    EXPECT_GE(parallel.seconds, 0.02);
    EXPECT_LT(parallel.serial_seconds, 0.25 * parallel.seconds);
  }
  set_num_threads(available_processors());
}

TEST(Profile, SeesEveryOpForwardAndBackward) {
  const Tensor a = Tensor::full({3}, 2.0F), b = Tensor::full({3}, 5.0F);
  a.set_requires_grad(true);
  profile::start();
  const Tensor y = mul(add(a, b), b);
  backward(y, Tensor::full({3}, 1.0F));
  const auto entries = by_name(profile::stop());
  for (const char* op : {"add", "mul"}) {
    for (const Phase phase : {Phase::kForward, Phase::kBackward}) {
      ASSERT_TRUE(entries.contains({op, phase})) << op;
      EXPECT_EQ(entries.at({op, phase}).calls, 1);
      EXPECT_GE(entries.at({op, phase}).seconds, 0.0);
    }
  }
  EXPECT_EQ(entries.size(), 4U);
}

}  // namespace
}  // namespace inlay
