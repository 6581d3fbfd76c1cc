// SPDX-License-Identifier: Apache-2.0
#include "nn/models/config_values.h"

#include <string>
#include <utility>

#include "core/error.h"

namespace inlay {

kernels::Activation parse_activation(const HfConfig& config, std::string_view key,
                                     std::string_view otherwise) {
  constexpr std::pair<std::string_view, kernels::Activation> kNames[] = {
      {"silu", kernels::Activation::kSilu},
      {"swish", kernels::Activation::kSilu},
      {"gelu", kernels::Activation::kGelu},
      {"gelu_python", kernels::Activation::kGelu},
      {"gelu_new", kernels::Activation::kGeluTanh},
      {"gelu_fast", kernels::Activation::kGeluTanh},
      {"gelu_accurate", kernels::Activation::kGeluTanh},
      {"gelu_pytorch_tanh", kernels::Activation::kGeluTanh},
      {"gelu_python_tanh", kernels::Activation::kGeluTanh},
      {"relu", kernels::Activation::kRelu},
      {"relu2", kernels::Activation::kRelu2},
  };
  const std::string name = config.text(key, std::string(otherwise));
  std::string known;
  for (const auto& [spelling, value] : kNames) {
    if (name == spelling) {
      return value;
    }
    known += str(known.empty() ? "" : ", ", spelling);
  }
  config.fail(key, str("\"", printable(name), "\" is not supported (", known, " are)"));
}

float probability(const HfConfig& config, std::string_view key, double otherwise) {
  const double p = config.number(key, otherwise);
  if (!(p >= 0.0 && p < 1.0)) {
    config.fail(key, str("expected a probability in [0, 1), found ", p));
  }
  return static_cast<float>(p);
}

double norm_eps(const HfConfig& config, std::string_view key, double otherwise) {
  const double eps = config.number(key, otherwise);
  if (!(eps >= 0.0)) {
    config.fail(key, str("expected a number from 0, found ", eps));
  }
  return eps;
}

}  // namespace inlay
