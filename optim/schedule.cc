// SPDX-License-Identifier: Apache-2.0
#include "optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace inlay {

double learning_rate_at(const Schedule& schedule, i64 step) {
  const double lr = schedule.learning_rate;
  const double s = static_cast<double>(step);
  const double warmup = static_cast<double>(schedule.warmup_steps);
  if (step < schedule.warmup_steps) {
    return lr * s / warmup;
  }
  const double rest =
      static_cast<double>(std::max<i64>(1, schedule.total_steps - schedule.warmup_steps));
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
    case ScheduleKind::kConstantWithWarmup:
      return lr;
    case ScheduleKind::kLinear:
      return lr * std::max(0.0, (static_cast<double>(schedule.total_steps) - s) / rest);
    case ScheduleKind::kCosine:
      return std::max(0.0, lr * 0.5 * (1.0 + std::cos(std::numbers::pi * (s - warmup) / rest)));
  }
  return lr;
}

std::vector<std::string> schedule_names() {
  return {"constant", "constant_with_warmup", "linear", "cosine"};
}

ScheduleKind schedule_from_name(const std::string& name) {
  const std::vector<std::string> names = schedule_names();
  const auto it = std::find(names.begin(), names.end(), name);
  if (it == names.end()) {
    throw ConfigError(str("unknown schedule \"", name, "\"", did_you_mean(name, names)));
  }
  return static_cast<ScheduleKind>(it - names.begin());
}

}  // namespace inlay
