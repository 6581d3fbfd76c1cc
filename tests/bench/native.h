// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/gemm.h"

/// The yardsticks of the benchmarks, compiled for this very machine.
namespace inlay::bench {

/// Multiply-adds on registers only; returns the number of floating-point operations done. The sink
/// keeps them from being optimised away.
double fma_loop(i64 steps, float* sink);

/// The same product by Eigen with `threads` threads; B must be dense f32 without a row map.
void eigen_gemm(const kernels::GemmArgs& args, int threads);

}  // namespace inlay::bench
