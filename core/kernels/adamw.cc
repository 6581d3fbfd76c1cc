// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/adamw.h"

#include <cmath>

#include "core/kernels/adamw.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {

void adamw(const AdamwStep& step, std::span<const float> g, std::span<float> p, std::span<float> m,
           std::span<float> v) {
  const double t = static_cast<double>(step.t);
  AdamwFactors f{};
  f.gradient = static_cast<float>(step.gradient_scale);
  f.keep = static_cast<float>(1.0 - step.learning_rate * step.weight_decay);
  f.beta1 = static_cast<float>(step.beta1);
  f.rest1 = static_cast<float>(1.0 - step.beta1);
  f.beta2 = static_cast<float>(step.beta2);
  f.rest2 = static_cast<float>(1.0 - step.beta2);
  f.inverse_root = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(step.beta2, t)));
  f.epsilon = static_cast<float>(step.epsilon);
  f.rate = static_cast<float>(step.learning_rate / (1.0 - std::pow(step.beta1, t)));
  constexpr i64 kGrain = 1 << 15;  // values a task updates
  parallel_rows(static_cast<i64>(p.size()), kGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(adamws).step(f, g.data() + begin, p.data() + begin, m.data() + begin,
                              v.data() + begin, end - begin);
  });
}

}  // namespace inlay::kernels
