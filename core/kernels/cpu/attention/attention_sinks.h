// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/attention.h"

namespace inlay::kernels::attention {

/// Gives every row its sink, after the softmax over its other scores: to O and lse.
void add_sinks(const AttentionParams& params, std::span<const Segment> segments,
               const AttentionForward& args);

}  // namespace inlay::kernels::attention
