// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/product_rates.h"

#include <algorithm>

#include "core/kernels/cpu/isa/peak.h"
#include "finetune/bench/timing.h"

namespace inlay {
namespace {

using Loop = double (*)(i64 steps, float* sink);

// Long enough for the clock to tell, and short enough that of sixteen rounds some are never
// interrupted, even where other programs want the processor.
constexpr double kRoundSeconds = 1e-4;
constexpr int kRounds = 16;

double seconds_of(Loop loop, i64 steps) {
  float sink = 0.0F;
  Timing timing;
  Stopwatch watch;
  loop(steps, &sink);
  watch.lap(timing);
  return timing.wall[0];
}

// As many steps as fill a round; 0 where the processor cannot do them.
i64 steps_of_round(Loop loop) {
  float sink = 0.0F;
  if (loop(1, &sink) == 0.0) {
    return 0;
  }
  i64 steps = 16;
  while (seconds_of(loop, steps) < kRoundSeconds) {
    steps *= 2;
  }
  return steps;
}

}  // namespace

ProductRates measure_product_rates() {
  const i64 f32_steps = steps_of_round(kernels::fma_loop);
  const i64 bf16_steps = steps_of_round(kernels::bf16_loop);
  const auto faster = [](double best, Loop loop, i64 steps) {
    float sink = 0.0F;
    const double work = static_cast<double>(steps) * loop(1, &sink);
    return std::max(best, work / seconds_of(loop, steps));
  };
  ProductRates best;
  for (int round = 0; round < kRounds; ++round) {
    best.f32 = faster(best.f32, kernels::fma_loop, f32_steps);
    if (bf16_steps > 0) {
      best.bf16 = faster(best.bf16, kernels::bf16_loop, bf16_steps);
    }
  }
  return best;
}

}  // namespace inlay
