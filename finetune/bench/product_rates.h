// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace inlay {

/// What one thread multiplies a second on this processor, two operations a multiply-add.
struct ProductRates {
  double f32 = 0.0;
  double bf16 = 0.0;  // by its instruction for bf16; 0 where it has none
};

/// Measured in a few milliseconds: short rounds of each in turn, so that both see the same clock
/// and the same neighbours, of which the fastest counts. For choosing one of two whose rates are
/// far apart; measure_machine() tells what work can reach.
ProductRates measure_product_rates();

}  // namespace inlay
