// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/gemm.h"

/// The yardstick of the benchmark, compiled for this very machine.
namespace inlay::bench {

/// The same product by Eigen with `threads` threads; B must be dense f32 without a row map.
void eigen_gemm(const kernels::GemmArgs& args, int threads);

}  // namespace inlay::bench
