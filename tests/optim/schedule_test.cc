// SPDX-License-Identifier: Apache-2.0
#include "optim/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace inlay {
namespace {

TEST(Schedule, HasTheFormulaOfItsKindAtEveryCorner) {
  const struct {
    const char* kind;
    i64 warmup, total, step;
    double expected;  // of a peak of 1
  } cases[] = {
      {"constant", 0, 10, 0, 1.0},
      {"constant", 0, 10, 9, 1.0},
      {"constant", 4, 10, 1, 0.25},  // the warmup counts here too
      {"constant_with_warmup", 4, 10, 0, 0.0},
      {"constant_with_warmup", 4, 10, 3, 0.75},
      {"constant_with_warmup", 4, 10, 4, 1.0},
      {"constant_with_warmup", 4, 10, 9, 1.0},
      {"linear", 0, 10, 0, 1.0},
      {"linear", 0, 10, 5, 0.5},
      {"linear", 0, 10, 9, 0.1},
      {"linear", 0, 10, 10, 0.0},
      {"linear", 4, 10, 0, 0.0},
      {"linear", 4, 10, 2, 0.5},
      {"linear", 4, 10, 4, 1.0},
      {"linear", 4, 10, 7, 0.5},
      {"linear", 4, 10, 12, 0.0},  // never below zero
      {"cosine", 0, 8, 0, 1.0},
      {"cosine", 0, 8, 2, (1.0 + std::sqrt(0.5)) / 2.0},  // cos(pi / 4)
      {"cosine", 0, 8, 4, 0.5},
      {"cosine", 0, 8, 8, 0.0},
      {"cosine", 4, 12, 3, 0.75},
      {"cosine", 4, 12, 4, 1.0},
      {"cosine", 4, 12, 6, (1.0 + std::sqrt(0.5)) / 2.0},
      {"cosine", 4, 12, 8, 0.5},
      {"cosine", 4, 12, 12, 0.0},
      // No steps but the warmup's: the step behind it has the peak, and nothing divides by zero.
      {"linear", 5, 5, 4, 0.8},
      {"cosine", 5, 5, 5, 1.0},
      {"cosine", 9, 5, 4, 4.0 / 9.0},
  };
  for (const auto& c : cases) {
    for (const double peak : {1.0, 2e-4}) {
      const Schedule schedule{.kind = &schedule_named(c.kind),
                              .learning_rate = peak,
                              .warmup_steps = c.warmup,
                              .total_steps = c.total};
      // 4 roundings in double.
      EXPECT_NEAR(learning_rate_at(schedule, c.step), peak * c.expected, 1e-15 * peak)
          << c.kind << ", step " << c.step << " of " << c.total;
    }
  }
}

TEST(Schedule, NeverLeavesTheRangeBetweenZeroAndThePeak) {
  for (const std::string& name : schedule_names()) {
    for (const i64 warmup : {0, 1, 13, 100}) {
      for (i64 step = 0; step <= 120; ++step) {
        const double rate = learning_rate_at({.kind = &schedule_named(name),
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
  for (const std::string& name : schedule_names()) {
    EXPECT_EQ(schedule_named(name).name, name);
  }
  try {
    schedule_named("cosin");
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "unknown schedule \"cosin\" (did you mean \"cosine\"?)");
  }
}

}  // namespace
}  // namespace inlay
