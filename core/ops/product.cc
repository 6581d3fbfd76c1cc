// SPDX-License-Identifier: Apache-2.0
#include "core/ops/product.h"

#include "core/kernels/elementwise.h"
#include "core/tensor/frozen_matrix.h"

namespace inlay {

using kernels::GemmArgs;
using kernels::GemmCompute;
using kernels::GemmTerm;
using kernels::MatrixRef;

i64 rows_of(const Tensor& x) {
  return x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1);
}

GemmTerm product_term(const Tensor& x, const MatrixRef& m, bool transposed) {
  GemmTerm term;
  term.K = x.dim(-1);
  if (x.dtype() == DType::kBf16) {
    term.a_bf16 = x.data<const u16>();
  } else {
    term.a = x.data<const float>();
  }
  term.a_row_stride = term.K;
  term.b = m;
  term.b_transposed = transposed;
  return term;
}

void set_result(GemmArgs& args, const Tensor& c) {
  args.M = rows_of(c);
  args.N = c.dim(-1);
  args.c_row_stride = args.N;
  if (c.dtype() == DType::kBf16) {
    args.c_bf16 = c.data<u16>();
  } else {
    args.c = c.data<float>();
  }
}

void multiply(const Tensor& x, const MatrixRef& m, const Tensor& y, const ProductOptions& options) {
  GemmArgs args;
  static_cast<GemmTerm&>(args) = product_term(x, m, options.transposed);
  set_result(args, y);
  args.alpha = options.alpha;
  args.bias = options.bias;
  args.compute = options.compute;
  run_product(args);
}

void run_product(const GemmArgs& args) {
  run_products({&args, 1});
}

void run_products(std::span<const GemmArgs> products) {
  const MemoryScope scope(MemoryClass::kScratch);
  const Tensor scratch = Tensor::empty({current_kernels().gemm_together_scratch(products)});
  on(scratch).gemm_together(products, scratch.out());
}

void run_low_rank(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer) {
  const MemoryScope scope(MemoryClass::kScratch);
  const Tensor scratch = Tensor::empty({current_kernels().gemm_low_rank_scratch(inner, outer)});
  on(scratch).gemm_low_rank(inner, outer, scratch.out());
}

namespace {

// out = left^T right, over the rows of both; to be completed.
GemmArgs outer_products(const Tensor& left, const Tensor& right, GemmCompute compute,
                        const Tensor& out) {
  const i64 rows = rows_of(left);
  GemmArgs args;
  args.M = left.dim(-1);
  args.K = rows;
  args.N = right.dim(-1);
  args.a = left.data<const float>();
  args.a_row_stride = 1;
  args.a_col_stride = left.dim(-1);
  args.b = matrix_ref(right.view({rows, right.dim(-1)}));
  args.c = out.data<float>();
  args.c_row_stride = args.N;
  args.compute = compute;
  return args;
}

}  // namespace

Tensor sum_of_outer_products(const Tensor& left, const Tensor& right, float alpha,
                             GemmCompute compute) {
  Tensor out = Tensor::empty({left.dim(-1), right.dim(-1)});
  GemmArgs args = outer_products(left, right, compute, out);
  args.alpha = alpha;
  run_product(args);
  return out;
}

void add_outer_products(const Tensor& left, const Tensor& right, GemmCompute compute,
                        const Tensor& out) {
  GemmArgs args = outer_products(left, right, compute, out);
  args.addend = args.c;
  args.addend_row_stride = args.c_row_stride;
  run_product(args);
}

Tensor column_sums(const Tensor& dy) {
  Tensor out = Tensor::empty({dy.dim(-1)});
  on(out).column_sums(dy.to(DType::kF32).in(), out.out(), false);
  return out;
}

}  // namespace inlay
