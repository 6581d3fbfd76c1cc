// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "finetune/bench/kernel_bench.h"

/// The same products by oneDNN's matmul, as a yardstick. Compiled with INLAY_ONEDNN only.
namespace inlay {

/// "onednn_product", "onednn_input_gradient" and "onednn_weight_gradient" of a dense layer, with
/// plain row-major operands on both sides as PyTorch hands them over: f32, or for kBf16 bf16
/// operands and a result of sizes' values. Those that this oneDNN or processor has no kernel for
/// are left out; all are for other formats and for kInt8. A result that is not the product is a
/// VerificationError.
std::vector<KernelTiming> bench_onednn(const GemmSizes& sizes, i64 steps);

}  // namespace inlay
