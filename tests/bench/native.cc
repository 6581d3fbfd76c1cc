// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/native.h"

#include <Eigen/Core>

namespace inlay::bench {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64, kChains = 24;
#elif defined(__AVX__)
constexpr int kBytes = 32, kChains = 12;
#else
constexpr int kBytes = 16, kChains = 12;
#endif
using Vector = float __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / 4;

template <int kOrder>
using MatrixMap = Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, kOrder>, 0,
                             Eigen::OuterStride<>>;

template <int kOrderA, int kOrderB>
void multiply(const kernels::GemmArgs& args) {
  const i64 a_stride = kOrderA == Eigen::RowMajor ? args.a_row_stride : args.a_col_stride;
  const MatrixMap<kOrderA> a(args.a, args.M, args.K, Eigen::OuterStride<>(a_stride));
  const MatrixMap<kOrderB> b(static_cast<const float*>(args.b.data), args.K, args.N,
                             Eigen::OuterStride<>(args.b.row_bytes / 4));
  Eigen::Map<Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0,
             Eigen::OuterStride<>>
      c(args.c, args.M, args.N, Eigen::OuterStride<>(args.c_row_stride));
  c.noalias() = a * b;
}

}  // namespace

double fma_loop(i64 steps, float* sink) {
  Vector chain[kChains];
  for (int i = 0; i < kChains; ++i) {
    chain[i] = Vector{} + static_cast<float>(i);
  }
  const Vector factor = Vector{} + 0.999F;
  const Vector term = Vector{} + 0.5F;
  for (i64 step = 0; step < steps; ++step) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) {
      chain[i] = chain[i] * factor + term;
    }
  }
  Vector sum{};
  for (int i = 0; i < kChains; ++i) {
    sum += chain[i];
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    *sink += sum[lane];
  }
  return 2.0 * kLanes * kChains * static_cast<double>(steps);
}

void eigen_gemm(const kernels::GemmArgs& args, int threads) {
  Eigen::setNbThreads(threads);
  if (args.a_col_stride != 1) {
    multiply<Eigen::ColMajor, Eigen::RowMajor>(args);
  } else if (args.b_transposed) {
    multiply<Eigen::RowMajor, Eigen::ColMajor>(args);
  } else {
    multiply<Eigen::RowMajor, Eigen::RowMajor>(args);
  }
}

}  // namespace inlay::bench
