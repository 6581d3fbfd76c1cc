// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/kernels/adamw.h"
#include "optim/optimizer.h"

namespace inlay {

/// Adam with decoupled weight decay, in PyTorch's order (Loshchilov & Hutter 2019,
/// arXiv:1711.05101, Alg. 2; see core/kernels/adamw.h). Two f32 moments a value: 8 bytes a
/// parameter.
OptimizerKind adamw();

/// Its parts, for its kin.
kernels::AdamwStep adamw_step(const OptimizerStep& step);
std::vector<StateTensor> adamw_state(const Parameter& parameter);
void adamw_update(const OptimizerStep& step, const Parameter& parameter, const Tensor& gradient,
                  std::span<const Tensor> state);

}  // namespace inlay
