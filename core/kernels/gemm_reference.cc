// SPDX-License-Identifier: Apache-2.0
#include <Eigen/Core>
#include <vector>

#include "core/kernels/gemm.h"

namespace inlay::kernels::reference {
namespace {

template <int kOrder>
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, kOrder>;
template <int kOrder>
using MatrixMap = Eigen::Map<const Matrix<kOrder>, 0, Eigen::OuterStride<>>;
using RowMajorMap = Eigen::Map<Matrix<Eigen::RowMajor>, 0, Eigen::OuterStride<>>;

// c += alpha * a * b, the storage order of a and b known to the compiler: Eigen copies any other.
template <int kOrderA, int kOrderB>
void add_product(const GemmArgs& args, const float* b, RowMajorMap& c) {
  const i64 a_stride = kOrderA == Eigen::RowMajor ? args.a_row_stride : args.a_col_stride;
  const i64 b_stride = kOrderB == Eigen::RowMajor ? args.N : args.K;
  const MatrixMap<kOrderA> left(args.a, args.M, args.K, Eigen::OuterStride<>(a_stride));
  const MatrixMap<kOrderB> right(b, args.K, args.N, Eigen::OuterStride<>(b_stride));
  c.noalias() += args.alpha * left * right;
}

}  // namespace

void gemm(const GemmArgs& args) {
  RowMajorMap c(args.c, args.M, args.N, Eigen::OuterStride<>(args.c_row_stride));
  if (!args.accumulate) {
    c.setZero();
  }
  if (args.bias != nullptr) {
    c.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(args.bias, args.N);
  }
  const i64 rows = args.b_transposed ? args.N : args.K;
  const i64 cols = args.b_transposed ? args.K : args.N;
  std::vector<float> b(rows * cols);
  for (i64 row = 0; row < rows; ++row) {
    decode_row(args.b, row, 0, cols, b.data() + row * cols);
  }
  constexpr auto kRow = Eigen::RowMajor;
  constexpr auto kCol = Eigen::ColMajor;
  const bool a_by_rows = args.a_col_stride == 1;
  if (a_by_rows) {
    args.b_transposed ? add_product<kRow, kCol>(args, b.data(), c)
                      : add_product<kRow, kRow>(args, b.data(), c);
  } else {
    args.b_transposed ? add_product<kCol, kCol>(args, b.data(), c)
                      : add_product<kCol, kRow>(args, b.data(), c);
  }
}

}  // namespace inlay::kernels::reference
