// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// The tensors of a safetensors file, copied out as tests want them.
class StoredTensors {
 public:
  explicit StoredTensors(const std::string& path) : file_(path) {}

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const TensorEntry& entry : file_.entries()) {
      names.push_back(entry.name);
    }
    return names;
  }

  bool has(const std::string& name) const { return file_.find(name) != nullptr; }

  /// An f32 tensor.
  Tensor floats(const std::string& name) const {
    const TensorEntry& entry = file_.at(name);
    return Tensor::from_bytes(entry.data, Shape(std::span<const i64>(entry.shape)), *entry.dtype);
  }

  /// The rows of an i64 matrix of ids or labels.
  std::vector<std::vector<i32>> rows(const std::string& name) const {
    const TensorEntry& entry = file_.at(name);
    std::vector<i64> values(entry.data.size() / sizeof(i64));
    std::memcpy(values.data(), entry.data.data(), entry.data.size());
    const i64 width = entry.shape.at(1);
    std::vector<std::vector<i32>> out(entry.shape.at(0));
    for (std::size_t i = 0; i < values.size(); ++i) {
      out[i / width].push_back(static_cast<i32>(values[i]));
    }
    return out;
  }

 private:
  SafetensorsFile file_;
};

/// The largest |a - b|; infinite when shapes differ or a value is not a number.
inline double largest_difference(const Tensor& a, const Tensor& b) {
  if (a.numel() != b.numel()) {
    return INFINITY;
  }
  const std::vector<float> left = a.to_vector();
  const std::vector<float> right = b.to_vector();
  double most = 0.0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const double d = std::abs(static_cast<double>(left[i]) - static_cast<double>(right[i]));
    if (!(d <= most)) {
      most = std::isnan(d) ? INFINITY : d;
    }
  }
  return most;
}

/// |a - b| / |b|, Euclidean.
inline double relative_difference(const Tensor& a, const Tensor& b) {
  if (a.numel() != b.numel()) {
    return INFINITY;
  }
  const std::vector<float> left = a.to_vector();
  const std::vector<float> right = b.to_vector();
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const double e = static_cast<double>(right[i]);
    const double d = static_cast<double>(left[i]) - e;
    difference += d * d;
    size += e * e;
  }
  return std::sqrt(difference) / std::max(std::sqrt(size), 1e-30);
}

}  // namespace inlay
