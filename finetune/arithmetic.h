// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "finetune/bench/product_rates.h"
#include "finetune/config/run_config.h"

/// What a run multiplies with: training.compute_dtype, bf16_products and activation_dtype, and what
/// "auto" means for each on this processor.
///
/// The processor's flags do not tell which of f32 and bf16 is the faster: with AMX bf16 has ten
/// times the rate of f32, with AVX-512 BF16 twice, the same or half. So the rates are measured, and
/// what was chosen is written to the resolved config: a repetition and a resumed run compute as the
/// first did, whatever the clock says then.
namespace inlay {

/// The rates of this processor, measured when they are first asked for.
const ProductRates& product_rates();

/// Whether the processor's instruction for bf16 is faster than multiply-adds of f32, by more than
/// two measurements of the same can differ.
bool bf16_is_faster(const ProductRates& rates);

/// The config with what "auto" means where `rates` are those of the processor. bf16_products stays
/// "auto" in a run that multiplies no bf16.
RunConfig with_arithmetic(RunConfig config, const ProductRates& rates);
/// The same on this processor, which is only measured if something is "auto".
RunConfig with_arithmetic(RunConfig config);

/// Lets products compute as a config says that has no "auto" left.
void use_arithmetic(const TrainingConfig& training);

/// What the run of a config multiplies with, and why, for people.
struct Arithmetic {
  GemmCompute compute = GemmCompute::kF32;
  std::optional<Bf16Products> bf16_products;  // of a run that multiplies bf16
  std::optional<ProductRates> rates;          // where they decided something
  std::string reason;
};
Arithmetic arithmetic_of(const RunConfig& config, const ProductRates& rates);
Arithmetic arithmetic_of(const RunConfig& config);

/// "bf16 (measured, a thread: bf16 by the processor's instruction 231 GFLOP/s, f32 115)"
std::string arithmetic_text(const Arithmetic& arithmetic);

}  // namespace inlay
