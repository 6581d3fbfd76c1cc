// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "tests/core/op_twins.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

// Products with weights, and what adapters make of them.
namespace inlay {
namespace {

using testing::Arrays;
using testing::dropout_mask;
using testing::everywhere;
using testing::low_rank;
using testing::masked;
using testing::product;
using testing::Tensors;
using testing::uniform;

TEST(Ops, LinearMatchesItsTwinInBothLayouts) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    for (const i64 out : {1, 5, 16, 19}) {
      const auto twin = [&](bool out_in) {
        return [in, out, out_in](const Arrays& a) {
          Array y = product(a[0], out, [&](i64 o, i64 i) {
            return out_in ? a[1][o * in + i] : a[1][i * out + o];
          });
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] += a[2][i % out];
          }
          return y;
        };
      };
      gradcheck(
          "linear", {s, {out, in}, {out}},
          [](const Tensors& t) { return linear(t[0], t[1], t[2]); }, twin(true));
      gradcheck(
          "conv1d", {s, {in, out}, {out}},
          [](const Tensors& t) { return linear(t[0], t[1], t[2], WeightLayout::kInOut); },
          twin(false));
    }
  });
}

TEST(Ops, FrozenWeightsPassTheGradientOnAndTakeNone) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 11;
    gradcheck(
        "frozen linear", {s, {kOut, in}},
        [](const Tensors& t) { return linear(t[0], FrozenMatrix(t[1]), Tensor()); },
        [&](const Arrays& a) {
          return product(a[0], kOut, [&](i64 o, i64 i) { return a[1][o * in + i]; });
        },
        {.differentiable = {true, false}});
  });
}

// Three layers of one input, the first plain with a bias, two with adapters of their own ranks; the
// results weighed differently, so that a gradient in the wrong place shows.
TEST(Ops, ProjectMatchesItsTwinAndItsCentralDifferences) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 13;
    const Tensor w0 = uniform({kOut, in}, RandomKey(3).with("w0"));
    const Tensor w1 = uniform({in, kOut}, RandomKey(3).with("w1"));
    const Tensor w2 = uniform({kOut, in}, RandomKey(3).with("w2"));
    gradcheck(
        "project", {s, {kOut}, {3, in}, {kOut, 3}, {5, in}, {kOut, 5}},
        [&](const Tensors& t) {
          Projection parts[3];
          parts[0].weight = FrozenMatrix(w0);
          parts[0].bias = t[1];
          parts[1].weight = FrozenMatrix(w1);
          parts[1].layout = WeightLayout::kInOut;
          parts[1].updates = {{t[2], t[3], 0.75F}};
          parts[2].weight = FrozenMatrix(w2);
          parts[2].updates = {{t[4], t[5]}};
          const std::vector<Tensor> y = project(t[0], parts, GemmCompute::kF32);
          return add(y[0], add(scale(y[1], 2.0F), scale(y[2], -3.0F)));
        },
        [&](const Arrays& a) {
          const Array plain[3] = {product(a[0], w0), product(a[0], w1.transpose(0, 1).contiguous()),
                                  product(a[0], w2)};
          const Array first = low_rank(a[0], a, 2), second = low_rank(a[0], a, 4);
          Array y = plain[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] += a[1][i % kOut] + 2.0 * (plain[1][i] + 0.75 * first[i]) -
                    3.0 * (plain[2][i] + second[i]);
          }
          return y;
        },
        // Weighed by up to 3, sums of some hundred products.
        {.tolerance = 2e-5});
  });
}

TEST(Ops, ProjectOntoAResidualPassesItsGradientOn) {
  constexpr i64 kIn = 11;
  constexpr i64 kOut = 7;
  const Tensor w = uniform({kOut, kIn}, RandomKey(4));
  gradcheck(
      "project_onto", {{5, kOut}, {5, kIn}},
      [&](const Tensors& t) {
        Projection part;
        part.weight = FrozenMatrix(w);
        return project_onto(t[0], t[1], part, GemmCompute::kF32);
      },
      [&](const Arrays& a) {
        Array y = product(a[1], w);
        for (i64 i = 0; i < y.shape.numel(); ++i) {
          y[i] += a[0][i];
        }
        return y;
      });
}

Tensor uniform_leaf(const Shape& shape, u64 seed, bool trained) {
  return uniform(shape, RandomKey(seed)).set_requires_grad(trained);
}

// Two layers, one with two updates, of which one drops values of x, and a scale; the other with one
// that drops more of them. The masks are those of `dropout` for the same key.
TEST(Ops, ProjectWithDropoutAndScalesMatchesItsTwinAndItsCentralDifferences) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 13;
    const auto frozen = [&](const char* name) {
      return uniform({kOut, in}, RandomKey(3).with(name));
    };
    const Tensor w0 = frozen("w0"), w1 = frozen("w1");
    const RandomKey key0 = RandomKey(8).with("first"), key1 = RandomKey(8).with("second");
    const Tensor mask0 = dropout_mask(s, 0.2F, key0), mask1 = dropout_mask(s, 0.6F, key1);
    for (const bool onto : {false, true}) {
      gradcheck(
          "project",
          {s,
           {kOut},
           {kOut},
           {3, in},
           {kOut, 3},
           {9, in},
           {kOut, 9},
           {5, in},
           {kOut, 5},
           s.with(-1, kOut)},
          [&](const Tensors& t) {
            Projection parts[2];
            parts[0].weight = FrozenMatrix(w0);
            parts[0].bias = t[1];
            parts[0].output_scale = t[2];
            parts[0].updates = {{t[3], t[4], 0.75F}, {t[5], t[6], 2.0F, 0.2F, key0}};
            parts[1].weight = FrozenMatrix(w1);
            parts[1].updates = {{t[7], t[8], 1.0F, 0.6F, key1}};
            if (onto) {
              return add(project_onto(t[9], t[0], parts[0], GemmCompute::kF32),
                         project(t[0], {&parts[1], 1}, GemmCompute::kF32)[0]);
            }
            const std::vector<Tensor> y = project(t[0], parts, GemmCompute::kF32);
            return add(add(y[0], y[1]), t[9]);
          },
          [&](const Arrays& a) {
            const Array plain0 = product(a[0], w0), plain1 = product(a[0], w1),
                        first = low_rank(a[0], a, 3), second = low_rank(masked(a[0], mask0), a, 5),
                        third = low_rank(masked(a[0], mask1), a, 7);
            Array y = a[9];
            for (i64 i = 0; i < y.shape.numel(); ++i) {
              const i64 o = i % kOut;
              y[i] += a[2][o] * (plain0[i] + 0.75 * first[i] + 2.0 * second[i]) + a[1][o] +
                      plain1[i] + third[i];
            }
            return y;
          });
    }
  });
}

// Two layers that read x through scales of their own, one of which also scales its output, and one
// that reads x itself, onto a residual or not. What is dropped is dropped from the scaled x.
TEST(Ops, ProjectWithScaledInputsMatchesItsTwinAndItsCentralDifferences) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 13;
    const auto frozen = [&](const char* name) {
      return uniform({kOut, in}, RandomKey(3).with(name));
    };
    const Tensor w0 = frozen("w0"), w1 = frozen("w1"), w2 = frozen("w2");
    const RandomKey key = RandomKey(8).with("scaled");
    const Tensor mask = dropout_mask(s, 0.2F, key);
    for (const bool onto : {false, true}) {
      gradcheck(
          "project", {s, {in}, {in}, {kOut}, {3, in}, {kOut, 3}, {kOut}, s.with(-1, kOut)},
          [&](const Tensors& t) {
            Projection parts[3];
            parts[0].weight = FrozenMatrix(w0);
            parts[0].input_scale = t[1];
            parts[0].bias = t[6];
            parts[1].weight = FrozenMatrix(w1);
            parts[1].input_scale = t[2];
            parts[1].output_scale = t[3];
            parts[1].updates = {{t[4], t[5], 0.75F, 0.2F, key}};
            parts[2].weight = FrozenMatrix(w2);
            if (onto) {
              return add(project_onto(t[7], t[0], parts[1], GemmCompute::kF32),
                         add(project(t[0], {&parts[0], 1}, GemmCompute::kF32)[0],
                             project(t[0], {&parts[2], 1}, GemmCompute::kF32)[0]));
            }
            const std::vector<Tensor> y = project(t[0], parts, GemmCompute::kF32);
            return add(add(y[0], y[1]), add(y[2], t[7]));
          },
          [&](const Arrays& a) {
            const auto scaled = [&](int scale) {
              Array x = a[0];
              for (i64 i = 0; i < x.shape.numel(); ++i) {
                x[i] *= a[scale][i % in];
              }
              return x;
            };
            const Array update = low_rank(masked(scaled(2), mask), a, 4);
            const Array y0 = product(scaled(1), w0), y1 = product(scaled(2), w1),
                        y2 = product(a[0], w2);
            Array y = a[7];
            for (i64 i = 0; i < y.shape.numel(); ++i) {
              const i64 o = i % kOut;
              y[i] += y0[i] + a[6][o] + a[3][o] * (y1[i] + 0.75 * update[i]) + y2[i];
            }
            return y;
          });
    }
  });
}

// Without a weight a projection is its updates: one that drops values of x, one that does not, or
// the one that drops them alone.
TEST(Ops, ProjectOfUpdatesAloneMatchesItsTwinAndItsCentralDifferences) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 13;
    const RandomKey key = RandomKey(8).with("alone");
    const Tensor mask = dropout_mask(s, 0.3F, key);
    for (const bool both : {false, true}) {
      gradcheck(
          "project", {s, {3, in}, {kOut, 3}, {2, in}, {kOut, 2}, {kOut}, {kOut}, s.with(-1, kOut)},
          [&](const Tensors& t) {
            Projection part;
            part.updates = {{t[1], t[2], 0.75F, 0.3F, key}};
            if (both) {
              part.updates.push_back({t[3], t[4], 2.0F});
            }
            part.bias = t[5];
            part.output_scale = t[6];
            Tensor y = project_onto(t[7], t[0], part, GemmCompute::kF32);
            // Every input has a part in the result.
            return both ? y : add(y, linear(linear(t[0], t[3]), t[4]));
          },
          [&](const Arrays& a) {
            const Array first = low_rank(masked(a[0], mask), a, 1), second = low_rank(a[0], a, 3);
            Array y = a[7];
            for (i64 i = 0; i < y.shape.numel(); ++i) {
              const i64 o = i % kOut;
              const double sum = 0.75 * first[i] + (both ? 2.0 * second[i] : 0.0);
              y[i] += a[6][o] * sum + a[5][o] + (both ? 0.0 : second[i]);
            }
            return y;
          });
    }
  });
}

TEST(Ops, InputScalesHaveTheWidthOfTheInput) {
  Projection part;
  part.weight = FrozenMatrix(Tensor::zeros({3, 4}));
  part.input_scale = Tensor::zeros({3});
  EXPECT_EQ(error_text<ShapeError>([&] {
              project(Tensor::zeros({2, 4}), {&part, 1}, GemmCompute::kF32);
            }),
            "project: input_scale: expected [4], found [3]");
}

// The result, then the gradients of the leaves that are trained.
std::vector<std::vector<float>> results_of(const Tensors& leaves,
                                           const std::function<Tensor(const Tensors&)>& f) {
  for (const Tensor& leaf : leaves) {
    leaf.set_grad({});
  }
  const Tensor y = f(leaves);
  std::vector<std::vector<float>> out = {y.to_vector()};
  backward(y, uniform_leaf(y.shape(), 99, false));
  for (const Tensor& leaf : leaves) {
    if (leaf.requires_grad()) {
      out.push_back(leaf.grad().to_vector());
    }
  }
  return out;
}

TEST(Ops, EightBitProductsAreForFrozenWeights) {
  const Tensor x = uniform_leaf({40, 70}, 1, true);
  for (const bool trained : {true, false}) {
    const Tensor w = uniform_leaf({33, 70}, 5, trained);
    const auto in = [&](GemmCompute compute) {
      return results_of({x, w}, [&](const Tensors& t) {
        return linear(t[0], t[1], {}, WeightLayout::kOutIn, compute);
      });
    };
    EXPECT_EQ(in(GemmCompute::kInt8) == in(GemmCompute::kBf16), trained);
  }
}

TEST(Ops, EightBitProjectionsKeepTheirAdaptersInBf16) {
  const Tensor x = uniform_leaf({40, 70}, 1, true);
  const Tensor A = uniform_leaf({5, 70}, 2, true);
  const Tensor B = uniform_leaf({33, 5}, 3, true);
  const auto in = [&](GemmCompute compute) {
    return results_of({x, A, B}, [&](const Tensors& t) {
      Projection part;
      part.weight = FrozenMatrix(Tensor::zeros({33, 70}));  // the adapter is all there is
      part.updates = {{t[1], t[2]}};
      return project(t[0], {&part, 1}, compute)[0];
    });
  };
  const auto bf16 = in(GemmCompute::kBf16);
  const auto int8 = in(GemmCompute::kInt8);
  ASSERT_EQ(int8.size(), 4U);
  for (std::size_t r = 0; r < int8.size(); ++r) {
    for (std::size_t i = 0; i < int8[r].size(); ++i) {
      // Sums of 5 products of at most 40, taken in another order; 8 bits would be off by 0.1.
      ASSERT_NEAR(int8[r][i], bf16[r][i], 40.0 * 10 * 0x1p-24) << "result " << r;
    }
  }
}

double relative_distance(const std::vector<float>& from, const std::vector<float>& to) {
  double apart = 0.0, size = 1e-30;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto value = static_cast<double>(to[i]);
    const double difference = static_cast<double>(from[i]) - value;
    apart += difference * difference;
    size += value * value;
  }
  return std::sqrt(apart / size);
}

// Three layers: one with a scale, a bias and an update that drops values, one with a scale and an
// update that drops none, one with two that drop some. On every processor, whether it has
// instructions for bf16 or not, the masks and the sums are those of f32.
TEST(Ops, ProjectInBf16IsNearThatInF32WithDropoutAndScales) {
  constexpr i64 kRows = 150, kIn = 600, kOut = 100;
  const Tensor w = uniform({kOut, kIn}, RandomKey(3));
  const auto leaf = [](const Shape& shape, u64 seed) { return uniform_leaf(shape, seed, true); };
  const Tensors leaves = {leaf({kRows, kIn}, 1), leaf({kOut}, 2),    leaf({kOut}, 3),
                          leaf({8, kIn}, 4),     leaf({kOut, 8}, 5), leaf({kOut}, 6),
                          leaf({5, kIn}, 7),     leaf({kOut, 5}, 8), leaf({3, kIn}, 9),
                          leaf({kOut, 3}, 10),   leaf({9, kIn}, 11), leaf({kOut, 9}, 12)};
  const RandomKey key(7);
  const auto in = [&](GemmCompute compute, Keep keep) {
    return results_of(leaves, [&](const Tensors& t) {
      Projection parts[3];
      for (Projection& part : parts) {
        part.weight = FrozenMatrix(w);
      }
      parts[0].bias = t[1];
      parts[0].output_scale = t[2];
      parts[0].updates = {{t[3], t[4], 1.0F, 0.1F, key.with("first")}};
      parts[1].output_scale = t[5];
      parts[1].updates = {{t[6], t[7]}};
      parts[2].updates = {{t[8], t[9], 1.0F, 0.3F, key.with("second")},
                          {t[10], t[11], 1.0F, 0.6F, key.with("third")}};
      const std::vector<Tensor> y = project(scale(t[0], 1.0F), parts, compute, DType::kF32, keep);
      return add(y[0], add(y[1], y[2]));
    });
  };
  const auto expected = in(GemmCompute::kF32, Keep::kExact);
  for (const kernels::Isa isa : testing::all_supported_isas()) {
    const testing::IsaScope scope(isa);
    for (const Keep keep : {Keep::kExact, Keep::kRounded}) {
      const auto got = in(GemmCompute::kBf16, keep);
      ASSERT_EQ(got.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        // Two or three roundings to 8 bits on the way to each value.
        EXPECT_LE(relative_distance(got[i], expected[i]), 0.01)
            << kernels::isa_name(isa) << " " << i;
      }
    }
  }
}

TEST(Ops, MatmulNamesTheSizesThatDiffer) {
  try {
    matmul(Tensor::zeros({2, 3}), Tensor::zeros({4, 5}));
    FAIL() << "no error";
  } catch (const ShapeError& e) {
    EXPECT_STREQ(e.what(), "matmul: inner sizes differ: a [2, 3] @ b [4, 5]");
  }
}

}  // namespace
}  // namespace inlay
