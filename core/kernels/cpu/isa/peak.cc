// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/peak.h"

#include "core/kernels/cpu/isa/peak.isa.h"

namespace inlay::kernels {

double fma_loop(i64 steps, float* sink) {
  const PeakTable& table = INLAY_SELECT(peak_loops);
  table.fma(steps, sink);
  return table.flops * static_cast<double>(steps);
}

double bf16_loop(i64 steps, float* sink) {
  const DotPeakTable* table = INLAY_SELECT_DOTS(dot_peak_loops);
  if (table == nullptr) {
    return 0.0;
  }
  table->bf16(steps, sink);
  return table->bf16_flops * static_cast<double>(steps);
}

double int8_loop(i64 steps, float* sink) {
  const DotPeakTable* table = INLAY_SELECT_DOTS(dot_peak_loops);
  if (table == nullptr) {
    return 0.0;
  }
  table->int8(steps, sink);
  return table->int8_ops * static_cast<double>(steps);
}

float read_loop(std::span<const float> values) {
  return INLAY_SELECT(peak_loops).sum(values.data(), static_cast<i64>(values.size()));
}

}  // namespace inlay::kernels
