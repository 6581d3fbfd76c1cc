// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "core/random.h"
#include "core/tensor/tensor.h"

/// What goes into a format, and what stored results are compared with.
namespace inlay {

/// [rows, cols] of the standard normal distribution; another matrix for another `stream`.
inline Tensor gaussian(i64 rows, i64 cols, u64 stream) {
  Tensor x = Tensor::empty({rows, cols});
  fill_normal(x.mutable_values(), RandomKey(stream).with("gaussian"), 0.0F, 1.0F);
  return x;
}

inline std::string hex_of(std::span<const u8> bytes) {
  std::string text;
  for (const u8 byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

/// The values of an f32 entry.
inline std::vector<float> floats_of(const TensorEntry& entry) {
  std::vector<float> values(entry.data.size() / 4);
  std::memcpy(values.data(), entry.data.data(), entry.data.size());
  return values;
}

}  // namespace inlay
