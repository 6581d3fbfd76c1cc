// SPDX-License-Identifier: Apache-2.0
#include "tests/support/gradcheck.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/autograd/graph.h"
#include "core/random.h"

namespace inlay {
namespace {

Tensor random_tensor(const Shape& shape, RandomKey key, double scale, bool strided) {
  if (!strided || shape.rank() != 2) {
    Tensor t = Tensor::empty(shape);
    fill_normal(t.mutable_values(), key, 0.0F, static_cast<float>(scale));
    return t;
  }
  Tensor wide = Tensor::empty({shape[0], shape[1] + 3});
  fill_normal(wide.mutable_values(), key, 0.0F, static_cast<float>(scale));
  return wide.slice(1, 2, 2 + shape[1]);
}

Array to_array(const Tensor& t) {
  const std::vector<float> values = t.to_vector();
  return {t.shape(), {values.begin(), values.end()}};
}

double largest(const Array& a) {
  double most = 1.0;
  for (const double v : a.values) {
    most = std::max(most, std::abs(v));
  }
  return most;
}

void expect_near(const std::string& what, const Tensor& found, const Array& expected,
                 double tolerance) {
  ASSERT_EQ(found.shape(), expected.shape) << what;
  const double bound = tolerance * largest(expected);
  const Array values = to_array(found);
  for (i64 i = 0; i < found.numel(); ++i) {
    ASSERT_NEAR(values[i], expected[i], bound) << what << " at element " << i;
  }
}

double weighed(const Array& y, const Array& weights) {
  double sum = 0.0;
  for (i64 i = 0; i < y.shape.numel(); ++i) {
    sum += y[i] * weights[i];
  }
  return sum;
}

Array central_differences(const Twin& twin, std::vector<Array> inputs, std::size_t which,
                          const Array& weights) {
  constexpr double kStep = 1e-5;  // error h^2 f''' / 6: about 1e-10 beside the rounding 1e-16 / h
  Array gradient = zeros(inputs[which].shape);
  for (i64 i = 0; i < gradient.shape.numel(); ++i) {
    const double at = inputs[which][i];
    inputs[which][i] = at + kStep;
    const double above = weighed(twin(inputs), weights);
    inputs[which][i] = at - kStep;
    const double below = weighed(twin(inputs), weights);
    inputs[which][i] = at;
    gradient[i] = (above - below) / (2.0 * kStep);
  }
  return gradient;
}

}  // namespace

Array zeros(const Shape& shape) {
  return {shape, std::vector<double>(shape.numel(), 0.0)};
}

void gradcheck(const std::string& name, const std::vector<Shape>& shapes, const Op& op,
               const Twin& twin, const GradcheckOptions& options) {
  const RandomKey key = RandomKey(17).with(name);
  std::vector<Tensor> inputs;
  std::vector<Array> arrays;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    inputs.push_back(
        random_tensor(shapes[i], key.with(i), options.input_scale, options.strided_inputs));
    arrays.push_back(to_array(inputs[i]));
    inputs[i].set_requires_grad(options.differentiable.empty() || options.differentiable[i]);
  }
  const Tensor y = op(inputs);
  const Array expected = twin(arrays);
  expect_near(name + ": result", y, expected, options.tolerance);
  if (::testing::Test::HasFatalFailure()) {
    return;
  }
  const Tensor seed = random_tensor(y.shape(), key.with("seed"), 1.0, false);
  const Array weights = to_array(seed);
  backward(y, seed);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (!options.differentiable.empty() && !options.differentiable[i]) {
      EXPECT_FALSE(inputs[i].grad().defined()) << name << ": input " << i;
      continue;
    }
    ASSERT_TRUE(inputs[i].grad().defined()) << name << ": no gradient of input " << i;
    // Gradients sum over more terms than results do.
    expect_near(name + ": gradient of input " + std::to_string(i), inputs[i].grad(),
                central_differences(twin, arrays, i, weights), 4.0 * options.tolerance);
    if (::testing::Test::HasFatalFailure()) {
      return;
    }
  }
}

}  // namespace inlay
