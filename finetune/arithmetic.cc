// SPDX-License-Identifier: Apache-2.0
#include "finetune/arithmetic.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/kernels/cpu/isa/isa.h"

namespace inlay {
namespace {

// Rates are apart by factors: half, the same, twice, ten times. Between the same and twice.
constexpr double kFaster = 1.25;

// Where compute_dtype is "auto", the type that the weights are decoded to speaks for it.
AutoOr<GemmCompute> asked_compute(const RunConfig& config) {
  const AutoOr<GemmCompute>& compute = config.training.compute_dtype;
  return compute.is_auto() && config.quantization ? config.quantization->bnb_4bit_compute_dtype
                                                  : compute;
}

// A run that multiplies bf16 as f32 gains nothing from rounding to it: "auto" is f32 there.
bool asks_for_rates(const RunConfig& config) {
  const AutoOr<GemmCompute> compute = asked_compute(config);
  const AutoOr<Bf16Products>& products = config.training.bf16_products;
  return compute.is_auto() ? products != Bf16Products::kF32
                           : compute != GemmCompute::kF32 && products.is_auto();
}

std::string giga(double rate) {
  return std::to_string(std::lround(rate / 1e9));
}

std::string reason_of(const RunConfig& config, const ProductRates& rates) {
  if (!asks_for_rates(config)) {
    return "as the config says";
  }
  if (rates.bf16 == 0.0) {
    return str("this processor (", kernels::isa_name(kernels::active_isa()),
               ") has no instruction for bf16");
  }
  return str("measured, a thread: bf16 by the processor's instruction ", giga(rates.bf16),
             " GFLOP/s, f32 ", giga(rates.f32));
}

}  // namespace

const ProductRates& product_rates() {
  static const ProductRates rates = measure_product_rates();
  return rates;
}

bool bf16_is_faster(const ProductRates& rates) {
  return rates.bf16 > kFaster * rates.f32;
}

RunConfig with_arithmetic(RunConfig config, const ProductRates& rates) {
  TrainingConfig& training = config.training;
  const bool native = training.bf16_products != Bf16Products::kF32 && bf16_is_faster(rates);
  training.compute_dtype = asked_compute(config);
  if (training.compute_dtype.is_auto()) {
    training.compute_dtype = native ? GemmCompute::kBf16 : GemmCompute::kF32;
  }
  if (training.bf16_products.is_auto() && training.compute_dtype != GemmCompute::kF32) {
    training.bf16_products = native ? Bf16Products::kNative : Bf16Products::kF32;
  }
  if (training.activation_dtype.is_auto()) {
    training.activation_dtype =
        training.compute_dtype == GemmCompute::kF32 ? DType::kF32 : DType::kBf16;
  }
  return config;
}

RunConfig with_arithmetic(RunConfig config) {
  const ProductRates rates = asks_for_rates(config) ? product_rates() : ProductRates();
  return with_arithmetic(std::move(config), rates);
}

void use_arithmetic(const TrainingConfig& training) {
  kernels::set_bf16_products(training.bf16_products.value.value_or(Bf16Products::kNative));
}

Arithmetic arithmetic_of(const RunConfig& config, const ProductRates& rates) {
  const TrainingConfig resolved = with_arithmetic(config, rates).training;
  Arithmetic out;
  out.compute = *resolved.compute_dtype.value;
  out.bf16_products =
      out.compute == GemmCompute::kF32 ? std::nullopt : resolved.bf16_products.value;
  out.reason = reason_of(config, rates);
  if (asks_for_rates(config)) {
    out.rates = rates;
  }
  return out;
}

Arithmetic arithmetic_of(const RunConfig& config) {
  return arithmetic_of(config, asks_for_rates(config) ? product_rates() : ProductRates());
}

std::string arithmetic_text(const Arithmetic& arithmetic) {
  std::string text(choice_name(arithmetic.compute));
  if (arithmetic.bf16_products == Bf16Products::kF32) {
    text += arithmetic.compute == GemmCompute::kInt8 ? ", bf16 multiplied as f32"
                                                     : ", multiplied as f32";
  }
  return str(text, " (", arithmetic.reason, ")");
}

}  // namespace inlay
