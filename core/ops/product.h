// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/gemm.h"
#include "core/tensor/tensor.h"

// Products of tensors as the operations on weights need them. Leading axes are rows; every tensor
// is contiguous. For the .cc files of core/ops.
namespace inlay {

/// Rows of x when its last axis is one row.
i64 rows_of(const Tensor& x);

/// x M, or x M^T when `transposed`. A bf16 x, like a bf16 result, is for has_bf16_operands only.
kernels::GemmTerm product_term(const Tensor& x, const kernels::MatrixRef& m, bool transposed);

/// C of the product, and with it M and N.
void set_result(kernels::GemmArgs& args, const Tensor& c);

struct ProductOptions {
  bool transposed = false;  // multiply by the matrix's transpose
  float alpha = 1.0F;
  const float* bias = nullptr;
  kernels::GemmCompute compute = kernels::GemmCompute::kF32;
};

/// y = alpha * x M (+ bias), or x M^T.
void multiply(const Tensor& x, const kernels::MatrixRef& m, const Tensor& y,
              const ProductOptions& options);

/// Runs the product with scratch memory of its own.
void run_product(const kernels::GemmArgs& args);
/// The same for several that do not depend on one another.
void run_products(std::span<const kernels::GemmArgs> products);
void run_low_rank(std::span<const kernels::GemmArgs> inner,
                  std::span<const kernels::GemmArgs> outer);

/// alpha * left^T right over the rows of both: [left's width, right's width].
Tensor sum_of_outer_products(const Tensor& left, const Tensor& right, float alpha,
                             kernels::GemmCompute compute);

/// out += left^T right.
void add_outer_products(const Tensor& left, const Tensor& right, kernels::GemmCompute compute,
                        const Tensor& out);

/// [columns] sums over the rows.
Tensor column_sums(const Tensor& dy);

}  // namespace inlay
