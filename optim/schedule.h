// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

struct Schedule;

/// A row of the table of schedules, which stands in schedule.cc.
struct ScheduleKind {
  std::string_view name;  // as configs spell it
  /// The learning rate of step `step` once the warmup is over.
  double (*rate)(const Schedule& schedule, i64 step);
};

/// "constant", "constant_with_warmup", "linear", "cosine".
std::vector<std::string> schedule_names();
/// Throws ConfigError for another name.
const ScheduleKind& schedule_named(std::string_view name);

struct Schedule {
  const ScheduleKind* kind = &schedule_named("cosine");
  double learning_rate = 2e-4;
  i64 warmup_steps = 0;
  i64 total_steps = 0;
};

/// Learning rate of step s = 0, 1, …: learning_rate * s / warmup while s < warmup, then
///   constant: learning_rate;   linear: learning_rate * (N - s) / (N - warmup)
///   cosine:   learning_rate / 2 * (1 + cos(pi (s - warmup) / (N - warmup)))
/// with N = total_steps. As Transformers' schedulers, but that the warmup counts for "constant"
/// too: a setting is never ignored.
double learning_rate_at(const Schedule& schedule, i64 step);

}  // namespace inlay
