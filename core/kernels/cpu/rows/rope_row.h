// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/rope.h"

namespace inlay::kernels {

/// One row of `rope`, from x to y, which may be x.
void rope_row(const RopeArgs& args, i64 row, const float* x, float* y);

}  // namespace inlay::kernels
