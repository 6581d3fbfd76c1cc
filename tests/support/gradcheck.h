// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

/// One check for every op: its f32 result against a naive twin in double, and its gradients against
/// central differences of that twin, so that no f32 noise enters the differences.
namespace inlay {

/// A dense array in double, rows of the last axis contiguous.
struct Array {
  Shape shape;
  std::vector<double> values;
  double& operator[](i64 i) { return values[i]; }
  double operator[](i64 i) const { return values[i]; }
  i64 rows() const { return shape.rank() == 0 ? 1 : shape.numel() / std::max<i64>(1, shape[-1]); }
};

Array zeros(const Shape& shape);

using Op = std::function<Tensor(const std::vector<Tensor>&)>;
using Twin = std::function<Array(const std::vector<Array>&)>;

struct GradcheckOptions {
  // 64 times the f32 rounding unit: a few dozen roundings in sums of order 1.
  double tolerance = 4e-6;
  double input_scale = 1.0;
  std::vector<bool> differentiable = {};  // empty: all
  bool strided_inputs = false;            // rank-2 inputs arrive as views into wider buffers
};

/// Draws inputs of the given shapes, runs both, compares results, weighs the result with random
/// numbers into a scalar and compares the gradient of every input. Differences are relative to the
/// largest value of the compared array (or 1).
void gradcheck(const std::string& name, const std::vector<Shape>& shapes, const Op& op,
               const Twin& twin, const GradcheckOptions& options = {});

}  // namespace inlay
