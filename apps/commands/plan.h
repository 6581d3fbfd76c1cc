// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "finetune/train_run.h"

namespace inlay {

/// "400 rows, 39 919 tokens, 23 469 trained on", and what became of some of them.
std::string data_text(const RunPlan& plan);

/// {"compute_dtype", "bf16_products", "reason", "f32_gflops_a_thread", "bf16_gflops_a_thread"}, null
/// where nothing is multiplied in bf16, or no rate was asked for.
nlohmann::ordered_json arithmetic_json(const Arithmetic& arithmetic);

/// What backward computes again: "nothing", "selected products of the first 12 layers".
std::string recomputed_text(const RunPlan& plan);

/// What is prepacked, where something is.
inline constexpr const char* kPrepackedText =
    "the frozen weights, as products read them (prepack_weights always)";

}  // namespace inlay
