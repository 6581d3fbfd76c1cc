// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix.h"
#include "core/types.h"

namespace inlay::kernels {

/// C[M, N] = alpha * A[M, K] * B[K, N] (+ bias[N]) (+ C), f32 sums.
///
///   A: f32, a(i, k) = a[i * a_row_stride + k * a_col_stride]; one of the strides is 1.
///   B: any MatrixRef. b_transposed: B is stored [N, K], a weight [out, in] read forward (y = x
///   W^T);
///      else stored [K, N], the same weight read for the input gradient (dx = dy W), or any
///      right-hand factor.
///   C: f32, row i at c + i * c_row_stride.
struct GemmArgs {
  i64 M = 0, N = 0, K = 0;
  const float* a = nullptr;
  i64 a_row_stride = 0, a_col_stride = 1;
  MatrixRef b;
  bool b_transposed = false;
  float* c = nullptr;
  i64 c_row_stride = 0;
  float alpha = 1.0F;
  const float* bias = nullptr;  // [N], added once; not scaled by alpha
  bool accumulate = false;      // C += instead of C =
};

/// How many floats of scratch `gemm` needs for these arguments (it allocates nothing itself).
i64 gemm_scratch(const GemmArgs& args);

/// Computes the product with the threads of parallel_for. Element (i, j) is summed over k in an
/// order that depends on K alone: the same bits at any thread count, whatever M and N are, and
/// whichever rows stand beside it.
void gemm(const GemmArgs& args, std::span<float> scratch);

namespace reference {
/// The same product by Eigen: the portable backend and the yardstick. Decodes B whole; for tests
/// and benchmarks.
void gemm(const GemmArgs& args);
}  // namespace reference

}  // namespace inlay::kernels
