// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/types.h"

namespace inlay {

enum class ScheduleKind { kConstant, kConstantWithWarmup, kLinear, kCosine };

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double learning_rate = 2e-4;
  i64 warmup_steps = 0;
  i64 total_steps = 0;
};

/// Learning rate of step s = 0, 1, …: learning_rate * s / warmup while s < warmup, then
///   constant: learning_rate;   linear: learning_rate * (N - s) / (N - warmup)
///   cosine:   learning_rate / 2 * (1 + cos(pi (s - warmup) / (N - warmup)))
/// with N = total_steps. As Transformers' schedulers, but that the warmup counts for kConstant too:
/// a setting is never ignored.
double learning_rate_at(const Schedule& schedule, i64 step);

/// "constant", "constant_with_warmup", "linear", "cosine".
std::vector<std::string> schedule_names();
/// Throws ConfigError for another name.
ScheduleKind schedule_from_name(const std::string& name);

}  // namespace inlay
