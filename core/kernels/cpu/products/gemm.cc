// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm.h"

#include <cstdint>

#include "core/error.h"
#include "core/kernels/cpu/isa/bf16_products.h"
#include "core/kernels/cpu/products/gemm_schemes.h"

// Which scheme computes a product:
//
//   f32, at most kFewRows rows    B is read once, and packed by the task that multiplies it, for
//                                 itself (gemm_few_rows.cc); as stored, where rows are very few
//   int8                          panels of codes (gemm_int8.cc)
//   bf16, where the processor     one walk over A for all products that share it
//   multiplies it (and is to:     (gemm_bf16.cc)
//   bf16_products.h)
//   everything else               packed panels of f32, for bf16 with rounded values
//                                 (gemm_blocked.cc)
//
// All of them keep the order of sums that gemm.h promises (gemm_schemes.h).
namespace inlay::kernels {

namespace {

// The kernels of bf16 products, when these are asked for and exist here.
const GemmBf16* bf16_kernels(GemmCompute compute) {
  return compute == GemmCompute::kBf16 ? INLAY_SELECT_BF16(kGemmBf16) : nullptr;
}
const GemmBf16* bf16_kernels(const GemmArgs& args) {
  return bf16_kernels(args.compute);
}

// Rounded operands are always packed.
bool is_small(const GemmArgs& args) {
  return args.M <= kFewRows && args.compute == GemmCompute::kF32;
}

// How many of the products, from the first on, are computed in one walk over their common A.
std::size_t one_walk(std::span<const GemmArgs> products) {
  std::size_t count = 1;
  if (bf16_kernels(products[0]) != nullptr && products[0].M > 0) {
    while (count < std::min<std::size_t>(products.size(), kProductsTogether) &&
           bf16_kernels(products[count]) != nullptr && share_rows(products[0], products[count])) {
      ++count;
    }
  }
  return count;
}

// Whether the inner products can be part of the walk over the outer ones' A.
bool one_walk(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer) {
  return !inner.empty() && inner.size() <= kProductsTogether && !outer.empty() &&
         bf16_kernels(outer[0]) != nullptr && one_walk(outer) == outer.size() && outer[0].M > 0 &&
         std::ranges::all_of(inner, [&](const GemmArgs& args) {
           return bf16_kernels(args) != nullptr && has_rows_of(outer[0], args);
         });
}

}  // namespace

bool can_stream(const GemmArgs& args) {
  // 2 MB, as much as an L2. Streaming stores need C's lines aligned.
  constexpr i64 kMinFloats = i64{1} << 19;
  constexpr i64 kLine = 64;
  return args.c_bf16 == nullptr && args.M * args.N >= kMinFloats &&
         args.c_row_stride * static_cast<i64>(sizeof(float)) % kLine == 0 &&
         reinterpret_cast<std::uintptr_t>(args.c) % kLine == 0;
}

bool has_bf16_products() {
  return INLAY_SELECT_BF16(kGemmBf16) != nullptr;
}

bool has_bf16_operands(GemmCompute compute) {
  return compute == GemmCompute::kBf16 && has_bf16_products();
}

i64 panels_floats(const MatrixRef& m, bool b_transposed, GemmCompute compute) {
  if (compute == GemmCompute::kInt8 || m.rows == 0 || m.cols == 0) {
    return 0;
  }
  const GemmBf16* kernels = bf16_kernels(compute);
  return kernels != nullptr ? bf16_panels_floats(m, b_transposed, *kernels)
                            : blocked_panels_floats(m, b_transposed);
}

void pack_panels(const MatrixRef& m, bool b_transposed, GemmCompute compute, std::span<float> to) {
  INLAY_ASSERT(static_cast<i64>(to.size()) == panels_floats(m, b_transposed, compute));
  if (to.empty()) {
    return;
  }
  if (const GemmBf16* kernels = bf16_kernels(compute)) {
    pack_bf16_panels(m, b_transposed, *kernels, to);
  } else {
    pack_blocked_panels(m, b_transposed, compute == GemmCompute::kBf16, to);
  }
}

i64 gemm_scratch(const GemmArgs& args) {
  if (args.M == 0 || args.N == 0) {
    return 0;
  }
  if (is_small(args)) {
    return reads_stored_rows(args) ? 0 : few_rows_scratch(args);
  }
  if (args.compute == GemmCompute::kInt8) {
    return int8_scratch(args);
  }
  const GemmBf16* kernels = bf16_kernels(args);
  return kernels != nullptr ? bf16_scratch({}, {&args, 1}, *kernels) : blocked_scratch(args);
}

void gemm(const GemmArgs& args, std::span<float> scratch) {
  if (args.M == 0 || args.N == 0) {
    return;
  }
  if (is_small(args)) {
    if (reads_stored_rows(args)) {
      stored_rows_products({&args, 1});
    } else {
      few_rows_product(args, scratch);
    }
  } else if (args.compute == GemmCompute::kInt8) {
    int8_product(args, scratch);
  } else if (const GemmBf16* kernels = bf16_kernels(args)) {
    bf16_products({}, {&args, 1}, *kernels, scratch);
  } else {
    blocked_product(args, scratch);
  }
}

i64 gemm_together_scratch(std::span<const GemmArgs> products) {
  i64 most = 0;
  while (!products.empty()) {
    const std::size_t count = one_walk(products);
    most = std::max(most, count > 1
                              ? bf16_scratch({}, products.first(count), *bf16_kernels(products[0]))
                              : gemm_scratch(products[0]));
    products = products.subspan(count);
  }
  return most;
}

void gemm_together(std::span<const GemmArgs> products, std::span<float> scratch) {
  const auto is_short = [](const GemmArgs& args) {
    return is_small(args) && reads_stored_rows(args);
  };
  // Decoding a token: every product is over before a sleeping thread has woken, so all of them
  // share one parallel region.
  if (!products.empty() && std::ranges::all_of(products, is_short)) {
    stored_rows_products(products);
    return;
  }
  while (!products.empty()) {
    const std::size_t count = one_walk(products);
    if (count > 1) {
      bf16_products({}, products.first(count), *bf16_kernels(products[0]), scratch);
    } else {
      gemm(products[0], scratch);
    }
    products = products.subspan(count);
  }
}

i64 gemm_low_rank_scratch(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer) {
  return one_walk(inner, outer)
             ? bf16_scratch(inner, outer, *bf16_kernels(outer[0]))
             : std::max(gemm_together_scratch(inner), gemm_together_scratch(outer));
}

void gemm_low_rank(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                   std::span<float> scratch) {
  if (one_walk(inner, outer)) {
    bf16_products(inner, outer, *bf16_kernels(outer[0]), scratch);
  } else {
    gemm_together(inner, scratch);
    gemm_together(outer, scratch);
  }
}

}  // namespace inlay::kernels
