// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw_8bit.h"

#include "optim/adamw.h"

namespace inlay {
namespace {

bool takes_8bit_moments(const Parameter& p) {
  return p.value.numel() >= kLeast8BitSize && !p.sparse_gradient;
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
  on(parameter.value).adamw_8bit(adamw_step(step), gradient.in(), parameter.value.out(),
                      moment(0), moment(2));
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
