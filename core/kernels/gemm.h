// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix.h"
#include "core/types.h"

namespace inlay::kernels {

/// One product of a sum: A[M, K] * B[K, N].
///
///   A      f32, a(i, k) = a[i * a_row_stride + k * a_col_stride]; one of the strides is 1.
///          Or bf16, at `a_bf16`, where has_bf16_operands(compute); then a_col_stride is 1.
///   B      any MatrixRef. b_transposed: stored [N, K], a weight [out, in] read forward
///          (y = x W^T); else stored [K, N], the same weight read for the input gradient
///          (dx = dy W), or any right-hand factor.
///   never_int8  with kInt8: this product is rounded to bf16 and not to 8 bits. For an adapter's
///          factors, which are trained.
///   kept   null, or the elements of the product that are added, a bit each: (i, j) where bit
///          i * N + j is set, bit n % 32 of word n / 32. For what passes back through dropout.
///   a_kept  null, or, where has_bf16_operands(compute), the values of A that count, likewise:
///          (i, k) where bit i * K + k is set; the others are zeros. For what dropout has dropped.
/// Of both kinds of bits, eight bytes behind the last may be read.
struct GemmTerm {
  i64 K = 0;
  const float* a = nullptr;
  const u16* a_bf16 = nullptr;
  i64 a_row_stride = 0, a_col_stride = 1;
  MatrixRef b;
  bool b_transposed = false;
  bool never_int8 = false;
  const u32* kept = nullptr;
  const u32* a_kept = nullptr;
};

/// What the operands are rounded to before they are multiplied; products are summed in f32.
///
/// kInt8: to 8 bits with a scale for every 64 steps of the contraction (after SwitchBack, Wortsman
/// et al. 2023, arXiv:2304.13013, whose scales are one a row; made for the product and the input
/// gradient of a frozen weight). A block is the values 64 n to 64 n + 63 of a row of A, or of a
/// column of B, or what is left of them at the end:
///   scale = absmax / 127   q_i = round(x_i (127 / absmax))    to the nearest, ties to even
/// all of f32; zeros where absmax is below 2^-100. A block that holds an infinity or a NaN makes
/// NaNs of all that it is multiplied with. Blocks of a 4-bit weight that lie along the contraction
/// are not decoded: scale = s max |code| / 127 for a block of scale s, and the code itself is
/// rounded in the same way. The sum of a block is exact, and then
///   acc = fma(sum_i q_i p_i, scale_A scale_B, acc)
/// block by block. Where a product is `never_int8`, acc = fma(a_k, b_k, acc) of operands rounded to
/// bf16. All instruction sets give the same bits.
enum class GemmCompute : u8 { kF32, kBf16, kInt8 };

/// The arithmetic of products that have a trained factor, or none that is a weight, in a run that
/// asks for `compute`: bf16 in place of int8.
constexpr GemmCompute unquantised(GemmCompute compute) {
  return compute == GemmCompute::kInt8 ? GemmCompute::kBf16 : compute;
}

/// Whether the processor's own instructions, AMX tiles or AVX-512 BF16, multiply bf16: it has them,
/// and the run uses them.
bool has_bf16_products();

/// Whether products take bf16 values for A, and give C as bf16: those that would round A anyway,
/// on such a processor.
bool has_bf16_operands(GemmCompute compute);

/// A matrix packed once into the panels in which products of one arithmetic read it, as a B that is
/// transposed or is not: what a product of many rows does first, each time, without them. For
/// matrices that are multiplied often and never change, where there is memory for them: 2 bytes a
/// value for bf16, 4 for f32, each way.
struct PackedPanels {
  GemmCompute compute = GemmCompute::kF32;
  const float* transposed = nullptr;  // where b_transposed; or null
  const float* straight = nullptr;    // where not; or null
};

/// The size of the panels of m, in floats; 0 for kInt8, whose products take none. They are for the
/// processor and the instruction set that made them.
i64 panels_floats(const MatrixRef& m, bool b_transposed, GemmCompute compute);
void pack_panels(const MatrixRef& m, bool b_transposed, GemmCompute compute, std::span<float> to);

/// C[M, N] = scale[N] * alpha * (A B + the products of `more`) (+ bias[N]) (+ addend), f32 sums.
///   C: f32, row i at c + i * c_row_stride. Or bf16, at c_bf16 + i * c_row_stride, where
///      has_bf16_operands(compute): the same value, rounded to the nearest, ties to even.
/// More than one product is how an adapter's update, or the gradients that meet in one input, are
/// added while the sums are in registers.
struct GemmArgs : GemmTerm {
  i64 M = 0, N = 0;
  std::span<const GemmTerm> more;
  float* c = nullptr;
  u16* c_bf16 = nullptr;
  i64 c_row_stride = 0;
  float alpha = 1.0F;
  const float* scale = nullptr;  // [N], or null for 1
  /// Null, or where C goes before it is scaled, in f32 or in bf16 (with a scale only): [M, N].
  float* unscaled = nullptr;
  u16* unscaled_bf16 = nullptr;
  const float* bias = nullptr;  // [N], added once; not scaled
  /// [M, N] like C, or null: a residual, or C itself for C +=.
  const float* addend = nullptr;
  i64 addend_row_stride = 0;
  GemmCompute compute = GemmCompute::kF32;
};

/// How many floats of scratch `gemm` needs for these arguments (it allocates nothing itself).
i64 gemm_scratch(const GemmArgs& args);

/// Computes the product with the threads of parallel_for. Element (i, j) is summed over k in an
/// order that depends on the lengths K alone: the same bits at any thread count, whatever M and N
/// are, and whichever rows stand beside it. A short product of `more` that adds nothing but zeros
/// leaves the bits as they were without it.
void gemm(const GemmArgs& args, std::span<float> scratch);

/// Several products, none of which reads or writes what another writes: each exactly as `gemm`
/// gives it. Those of a few rows, which end sooner than threads can be woken, share one parallel
/// region.
i64 gemm_together_scratch(std::span<const GemmArgs> products);
void gemm_together(std::span<const GemmArgs> products, std::span<float> scratch);

/// `inner`, then `outer`, whose last products in `more` may have what `inner` wrote for their A: an
/// adapter's x A^T, then x W^T + (x A^T) B^T. The bits are those of `gemm` for each in turn; but
/// operands that have to be packed are packed once where both have them.
i64 gemm_low_rank_scratch(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer);
void gemm_low_rank(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                   std::span<float> scratch);

namespace reference {
/// The same product by Eigen: the portable backend and the yardstick. Decodes B whole; for tests
/// and benchmarks.
void gemm(const GemmArgs& args);
}  // namespace reference

}  // namespace inlay::kernels
