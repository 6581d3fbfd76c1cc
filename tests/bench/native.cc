// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/native.h"

#include <Eigen/Core>

namespace inlay::bench {
namespace {

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
