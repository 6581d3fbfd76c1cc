// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct AdamwFactors {
  float gradient, keep, beta1, rest1, beta2, rest2, inverse_root, epsilon, rate;
};

struct AdamwTable {
  void (*step)(const AdamwFactors& f, const float* g, float* p, float* m, float* v, i64 n);
};
INLAY_DECLARE_TABLES(AdamwTable, adamws)

}  // namespace inlay::kernels
