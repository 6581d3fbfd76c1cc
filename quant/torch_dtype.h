// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor/dtype.h"

/// Float types as PyTorch spells them: in config.json, and in bitsandbytes' quant states.
namespace inlay {

struct TorchDType {
  std::string_view name;
  DType dtype;
};
inline constexpr TorchDType kTorchDTypes[] = {
    {"float32", DType::kF32}, {"bfloat16", DType::kBf16}, {"float16", DType::kF16}};

/// "" for other types than these.
constexpr std::string_view torch_name(DType dtype) {
  for (const TorchDType& row : kTorchDTypes) {
    if (row.dtype == dtype) {
      return row.name;
    }
  }
  return "";
}

constexpr std::optional<DType> torch_dtype(std::string_view name) {
  for (const TorchDType& row : kTorchDTypes) {
    if (row.name == name) {
      return row.dtype;
    }
  }
  return std::nullopt;
}

}  // namespace inlay
