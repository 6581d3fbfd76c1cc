// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw.h"

// AdamW with its moments in 8 bits, as bitsandbytes' AdamW8bit keeps them: dynamic codes with one
// f32 scale a block of 256 values, 2.03 bytes a parameter (Dettmers et al. 2021, arXiv:2110.02861;
// see core/kernels/adamw.h). Requantisation takes the nearest code, in f32 arithmetic.
//
// Two kinds of parameters keep f32 moments:
// - Those of fewer than kMin8BitSize values, which would save nothing.
// - Those of sparse gradients (Parameter::sparse_gradient). v of a value 2500 times below the
//   largest gradient of its block rounds to 0 and m does not; where the next gradient is exactly 0,
//   m / (sqrt(v) + epsilon) then throws the value away.
namespace inlay {
namespace {

constexpr i64 kMin8BitSize = 4096;  // bitsandbytes' min_8bit_size

bool takes_8bit_moments(const Parameter& p) {
  return p.value.numel() >= kMin8BitSize && !p.sparse_gradient;
}

std::vector<StateTensor> state_of(const Parameter& parameter) {
  if (!takes_8bit_moments(parameter)) {
    return adamw_state(parameter);
  }
  const Shape& shape = parameter.value.shape();
  const i64 blocks = (shape.numel() + kernels::kMomentBlock - 1) / kernels::kMomentBlock;
  return {{"exp_avg_codes", shape, DType::kU8},
          {"exp_avg_absmax", {blocks}},
          {"exp_avg_sq_codes", shape, DType::kU8},
          {"exp_avg_sq_absmax", {blocks}}};
}

void update(const OptimizerStep& step, const Parameter& parameter, const Tensor& gradient,
            std::span<const Tensor> state) {
  if (!takes_8bit_moments(parameter)) {
    adamw_update(step, parameter, gradient, state);
    return;
  }
  const auto moment = [&](std::size_t first) {
    return kernels::EightBitMoment{state[first].span<u8>(), state[first + 1].out()};
  };
  on(parameter.value)
      .adamw_8bit(adamw_step(step), gradient.in(), parameter.value.out(), moment(0), moment(2));
}

}  // namespace

OptimizerKind adamw_8bit() {
  return {.name = "adamw_8bit",
          .remark = "2 bytes a parameter for its moments in place of 8",
          .smaller = "",
          .state = state_of,
          .update = update};
}

}  // namespace inlay
