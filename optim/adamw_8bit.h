// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "optim/optimizer.h"

namespace inlay {

/// AdamW with its moments in 8 bits, as bitsandbytes' AdamW8bit keeps them: dynamic codes with one
/// f32 scale a block of 256 values, 2.03 bytes a parameter (Dettmers et al. 2021, arXiv:2110.02861;
/// see core/kernels/adamw.h). Requantisation takes the nearest code, in f32 arithmetic.
///
/// Two kinds of parameters keep f32 moments:
/// - Those of fewer than kLeast8BitSize values, which would save nothing.
/// - Those of sparse gradients (Parameter::sparse_gradient). v of a value 2500 times below the
///   largest gradient of its block rounds to 0 and m does not; where the next gradient is exactly
///   0, m / (sqrt(v) + epsilon) then throws the value away.
OptimizerKind adamw_8bit();

inline constexpr i64 kLeast8BitSize = 4096;  // bitsandbytes' min_8bit_size

}  // namespace inlay
