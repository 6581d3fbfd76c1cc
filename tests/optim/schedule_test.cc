// SPDX-License-Identifier: Apache-2.0
#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace inlay {
namespace {

TEST(Schedule, HasTheFormulaOfItsKindAtEveryCorner) {
  using enum ScheduleKind;
  const struct {
    ScheduleKind kind;
    i64 warmup, total, step;
    double expected;  // of a peak of 1
  } cases[] = {
      {kConstant, 0, 10, 0, 1.0},
      {kConstant, 0, 10, 9, 1.0},
      {kConstant, 4, 10, 1, 0.25},  // the warmup counts here too
      {kConstantWithWarmup, 4, 10, 0, 0.0},
      {kConstantWithWarmup, 4, 10, 3, 0.75},
      {kConstantWithWarmup, 4, 10, 4, 1.0},
      {kConstantWithWarmup, 4, 10, 9, 1.0},
      {kLinear, 0, 10, 0, 1.0},
      {kLinear, 0, 10, 5, 0.5},
      {kLinear, 0, 10, 9, 0.1},
      {kLinear, 0, 10, 10, 0.0},
      {kLinear, 4, 10, 0, 0.0},
      {kLinear, 4, 10, 2, 0.5},
      {kLinear, 4, 10, 4, 1.0},
      {kLinear, 4, 10, 7, 0.5},
      {kLinear, 4, 10, 12, 0.0},  // never below zero
      {kCosine, 0, 8, 0, 1.0},
      {kCosine, 0, 8, 2, (1.0 + std::sqrt(0.5)) / 2.0},  // cos(pi / 4)
      {kCosine, 0, 8, 4, 0.5},
      {kCosine, 0, 8, 8, 0.0},
      {kCosine, 4, 12, 3, 0.75},
      {kCosine, 4, 12, 4, 1.0},
      {kCosine, 4, 12, 6, (1.0 + std::sqrt(0.5)) / 2.0},
      {kCosine, 4, 12, 8, 0.5},
      {kCosine, 4, 12, 12, 0.0},
      // No steps but the warmup's: the step behind it has the peak, and nothing divides by zero.
      {kLinear, 5, 5, 4, 0.8},
      {kCosine, 5, 5, 5, 1.0},
      {kCosine, 9, 5, 4, 4.0 / 9.0},
  };
  for (const auto& c : cases) {
    for (const double peak : {1.0, 2e-4}) {
      const Schedule schedule{
          .kind = c.kind, .learning_rate = peak, .warmup_steps = c.warmup, .total_steps = c.total};
      // 4 roundings in double.
      EXPECT_NEAR(learning_rate_at(schedule, c.step), peak * c.expected, 1e-15 * peak)
          << schedule_names()[static_cast<int>(c.kind)] << ", step " << c.step << " of " << c.total;
    }
  }
}

TEST(Schedule, NeverLeavesTheRangeBetweenZeroAndThePeak) {
  for (int kind = 0; kind < 4; ++kind) {
    for (const i64 warmup : {0, 1, 13, 100}) {
      for (i64 step = 0; step <= 120; ++step) {
        const double rate = learning_rate_at({.kind = static_cast<ScheduleKind>(kind),
                                              .learning_rate = 0.5,
                                              .warmup_steps = warmup,
                                              .total_steps = 100},
                                             step);
        EXPECT_GE(rate, 0.0);
        EXPECT_LE(rate, 0.5);
      }
    }
  }
}

TEST(Schedule, IsFoundByItsName) {
  EXPECT_EQ(schedule_from_name("constant"), ScheduleKind::kConstant);
  EXPECT_EQ(schedule_from_name("constant_with_warmup"), ScheduleKind::kConstantWithWarmup);
  EXPECT_EQ(schedule_from_name("linear"), ScheduleKind::kLinear);
  EXPECT_EQ(schedule_from_name("cosine"), ScheduleKind::kCosine);
  try {
    schedule_from_name("cosin");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "unknown schedule \"cosin\" (did you mean \"cosine\"?)");
  }
}

}  // namespace
}  // namespace inlay
