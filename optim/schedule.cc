// SPDX-License-Identifier: Apache-2.0
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

#include "core/error.h"

namespace inlay {
namespace {

// Steps behind the warmup; one where there are none, so that nothing divides by zero.
double steps_after_warmup(const Schedule& schedule) {
  return static_cast<double>(std::max<i64>(1, schedule.total_steps - schedule.warmup_steps));
}

double constant(const Schedule& schedule, i64 /*step*/) {
  return schedule.learning_rate;
}

double linear_decay(const Schedule& schedule, i64 step) {
  const double left = static_cast<double>(schedule.total_steps) - static_cast<double>(step);
  return schedule.learning_rate * std::max(0.0, left / steps_after_warmup(schedule));
}

double cosine_decay(const Schedule& schedule, i64 step) {
  const double done = static_cast<double>(step) - static_cast<double>(schedule.warmup_steps);
  const double turn = std::numbers::pi * done / steps_after_warmup(schedule);
  return std::max(0.0, schedule.learning_rate * 0.5 * (1.0 + std::cos(turn)));
}

// In the order in which help texts and errors name them.
constexpr ScheduleKind kSchedules[] = {
    {"constant", constant},
    {"constant_with_warmup", constant},
    {"linear", linear_decay},
    {"cosine", cosine_decay},
};

}  // namespace

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const ScheduleKind& kind : kSchedules) {
    names.emplace_back(kind.name);
  }
  return names;
}

const ScheduleKind& schedule_named(std::string_view name) {
  const auto* found = std::ranges::find(kSchedules, name, &ScheduleKind::name);
  if (found == std::end(kSchedules)) {
    throw ConfigError(str("unknown schedule \"", name, "\"", did_you_mean(name, schedule_names())));
  }
  return *found;
}

double learning_rate_at(const Schedule& schedule, i64 step) {
  if (step < schedule.warmup_steps) {
    return schedule.learning_rate * static_cast<double>(step) /
           static_cast<double>(schedule.warmup_steps);
  }
  return schedule.kind->rate(schedule, step);
}

}  // namespace inlay
