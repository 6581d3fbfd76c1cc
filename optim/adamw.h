// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/kernels/adamw.h"
#include "optim/optimizer.h"

namespace inlay {

/// What AdamW shares with its kin: its own state, step by step.
kernels::AdamwStep adamw_step(const OptimizerStep& step);
std::vector<StateTensor> adamw_state(const Parameter& parameter);
void adamw_update(const OptimizerStep& step, const Parameter& parameter, const Tensor& gradient,
                  std::span<const Tensor> state);

}  // namespace inlay
