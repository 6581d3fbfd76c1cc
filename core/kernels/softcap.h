// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Spans of one length; an output may be an input.
namespace inlay::kernels {

/// y = cap tanh(x / cap)
void softcap(std::span<const float> x, float cap, std::span<float> y);
/// dx = dy (1 - (y / cap)^2): from the result, which x gives no more exactly
void softcap_backward(std::span<const float> y, std::span<const float> dy, float cap,
                      std::span<float> dx);

}  // namespace inlay::kernels
