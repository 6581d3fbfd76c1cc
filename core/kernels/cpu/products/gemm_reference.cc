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
void add_product(float alpha, const GemmTerm& term, const float* b, RowMajorMap& c) {
  const i64 a_stride = kOrderA == Eigen::RowMajor ? term.a_row_stride : term.a_col_stride;
  const i64 b_stride = kOrderB == Eigen::RowMajor ? c.cols() : term.K;
  const MatrixMap<kOrderA> left(term.a, c.rows(), term.K, Eigen::OuterStride<>(a_stride));
  const MatrixMap<kOrderB> right(b, term.K, c.cols(), Eigen::OuterStride<>(b_stride));
  c.noalias() += alpha * left * right;
}

bool is_set(const u32* bits, i64 i) {
  return ((bits[i / 32] >> (i % 32)) & 1U) != 0;
}

void add_whole_term(float alpha, const GemmTerm& term, RowMajorMap& c) {
  const i64 rows = term.b_transposed ? c.cols() : term.K;
  const i64 cols = term.b_transposed ? term.K : c.cols();
  std::vector<float> b(rows * cols);
  for (i64 row = 0; row < rows; ++row) {
    decode_row(term.b, row, 0, cols, b.data() + row * cols);
  }
  constexpr auto kRow = Eigen::RowMajor;
  constexpr auto kCol = Eigen::ColMajor;
  if (term.a_col_stride == 1) {
    term.b_transposed ? add_product<kRow, kCol>(alpha, term, b.data(), c)
                      : add_product<kRow, kRow>(alpha, term, b.data(), c);
  } else {
    term.b_transposed ? add_product<kCol, kCol>(alpha, term, b.data(), c)
                      : add_product<kCol, kRow>(alpha, term, b.data(), c);
  }
}

void add_term(float alpha, const GemmTerm& term, RowMajorMap& c) {
  GemmTerm whole = term;
  std::vector<float> a;
  if (term.a_kept != nullptr) {
    for (i64 i = 0; i < c.rows() * term.K; ++i) {
      const float value = term.a[i / term.K * term.a_row_stride + i % term.K];
      a.push_back(is_set(term.a_kept, i) ? value : 0.0F);
    }
    whole.a = a.data();
    whole.a_row_stride = term.K;
  }
  if (term.kept == nullptr) {
    add_whole_term(alpha, whole, c);
    return;
  }
  Matrix<Eigen::RowMajor> product = Matrix<Eigen::RowMajor>::Zero(c.rows(), c.cols());
  RowMajorMap to(product.data(), c.rows(), c.cols(), Eigen::OuterStride<>(c.cols()));
  add_whole_term(alpha, whole, to);
  for (i64 i = 0; i < c.rows() * c.cols(); ++i) {
    if (is_set(term.kept, i)) {
      c(i / c.cols(), i % c.cols()) += product.data()[i];
    }
  }
}

}  // namespace

void gemm(const GemmArgs& args) {
  using Rows = Matrix<Eigen::RowMajor>;
  Rows sum = Rows::Zero(args.M, args.N);
  RowMajorMap total(sum.data(), args.M, args.N, Eigen::OuterStride<>(args.N));
  add_term(args.alpha, args, total);
  for (const GemmTerm& term : args.more) {
    add_term(args.alpha, term, total);
  }
  if (args.scale != nullptr) {
    if (args.unscaled != nullptr) {
      RowMajorMap(args.unscaled, args.M, args.N, Eigen::OuterStride<>(args.N)) = total;
    }
    total.array().rowwise() *= Eigen::Map<const Eigen::RowVectorXf>(args.scale, args.N).array();
  }
  if (args.bias != nullptr) {
    total.rowwise() += Eigen::Map<const Eigen::RowVectorXf>(args.bias, args.N);
  }
  if (args.addend != nullptr) {
    total += MatrixMap<Eigen::RowMajor>(args.addend, args.M, args.N,
                                        Eigen::OuterStride<>(args.addend_row_stride));
  }
  RowMajorMap(args.c, args.M, args.N, Eigen::OuterStride<>(args.c_row_stride)) = total;
}

}  // namespace inlay::kernels::reference
