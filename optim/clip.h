// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "optim/optimizer.h"

namespace inlay {

/// sqrt of the sum of squares of every gradient, summed in double in the order of the parameters.
double global_grad_norm(std::span<const Parameter> parameters);

/// What gradients are multiplied by to keep their norm under max_norm: max_norm / (norm + 1e-6)
/// when that is below 1, else 1 (as torch.nn.utils.clip_grad_norm_). max_norm <= 0: no clipping.
double clip_scale(double norm, double max_norm);

}  // namespace inlay
