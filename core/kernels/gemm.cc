// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm.h"

#include "core/kernels/gemm_schemes.h"

namespace inlay::kernels {

i64 gemm_scratch(const GemmArgs& args) {
  return args.M <= kFewRows || args.N == 0 ? 0 : blocked_scratch(args);
}

void gemm(const GemmArgs& args, std::span<float> scratch) {
  if (args.M == 0 || args.N == 0) {
    return;
  }
  if (args.M <= kFewRows) {
    few_rows_product(args);
  } else {
    blocked_product(args, scratch);
  }
}

}  // namespace inlay::kernels
