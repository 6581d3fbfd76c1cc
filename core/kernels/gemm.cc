// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm.h"

#include "core/kernels/gemm_schemes.h"

namespace inlay::kernels {

namespace {

// The kernels of bf16 products, when these are asked for and exist here.
const GemmBf16* bf16_kernels(const GemmArgs& args) {
  return args.compute == GemmCompute::kBf16 ? INLAY_SELECT_DOTS(kGemmBf16) : nullptr;
}

// Rounded operands are always packed.
bool is_small(const GemmArgs& args) {
  return args.M <= kFewRows && args.compute == GemmCompute::kF32;
}

}  // namespace

bool has_bf16_products() {
  return INLAY_SELECT_DOTS(kGemmBf16) != nullptr;
}

i64 gemm_scratch(const GemmArgs& args) {
  if (args.M == 0 || args.N == 0 || is_small(args)) {
    return 0;
  }
  if (args.compute == GemmCompute::kInt8) {
    return int8_scratch(args);
  }
  const GemmBf16* kernels = bf16_kernels(args);
  return kernels != nullptr ? bf16_scratch(args, *kernels) : blocked_scratch(args);
}

void gemm(const GemmArgs& args, std::span<float> scratch) {
  if (args.M == 0 || args.N == 0) {
    return;
  }
  if (is_small(args)) {
    if (reads_stored_rows(args)) {
      stored_rows_products({&args, 1});
    } else {
      few_rows_product(args);
    }
  } else if (args.compute == GemmCompute::kInt8) {
    int8_product(args, scratch);
  } else if (const GemmBf16* kernels = bf16_kernels(args)) {
    bf16_product(args, *kernels, scratch);
  } else {
    blocked_product(args, scratch);
  }
}

i64 gemm_together_scratch(std::span<const GemmArgs> products) {
  i64 most = 0;
  for (const GemmArgs& args : products) {
    most = std::max(most, gemm_scratch(args));
  }
  return most;
}

void gemm_together(std::span<const GemmArgs> products, std::span<float> scratch) {
  const auto is_short = [](const GemmArgs& args) {
    return is_small(args) && reads_stored_rows(args);
  };
  if (std::ranges::all_of(products, is_short)) {
    stored_rows_products(products);
    return;
  }
  for (const GemmArgs& args : products) {
    gemm(args, scratch);
  }
}

}  // namespace inlay::kernels
