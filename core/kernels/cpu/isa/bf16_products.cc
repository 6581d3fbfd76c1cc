// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/bf16_products.h"

namespace inlay::kernels {
namespace {

Bf16Products& chosen_products() {
  static Bf16Products products = Bf16Products::kNative;
  return products;
}

}  // namespace

Bf16Products bf16_products() {
  return chosen_products();
}

void set_bf16_products(Bf16Products products) {
  chosen_products() = products;
}

}  // namespace inlay::kernels
