// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"
#include "core/ops/lengths.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/projection.h"
#include "core/ops/rope.h"
#include "core/ops/shape.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

using Arrays = std::vector<Array>;
using Tensors = std::vector<Tensor>;

Array map(const Array& x, const std::function<double(double)>& f) {
  Array y = x;
  for (double& v : y.values) {
    v = f(v);
  }
  return y;
}

// y[r, o] = sum over i of x[r, i] w(o, i)
Array product(const Array& x, i64 out, const std::function<double(i64 o, i64 i)>& w) {
  const i64 in = x.shape[-1];
  Array y = zeros(x.shape.with(-1, out));
  for (i64 r = 0; r < x.rows(); ++r) {
    for (i64 o = 0; o < out; ++o) {
      for (i64 i = 0; i < in; ++i) {
        y[r * out + o] += x[r * in + i] * w(o, i);
      }
    }
  }
  return y;
}

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}
double gelu(double x) {
  return 0.5 * x * (1.0 + std::erf(x / std::numbers::sqrt2));
}
double gelu_tanh(double x) {
  return 0.5 * x *
         (1.0 + std::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
}

double act(kernels::Activation kind, double x) {
  switch (kind) {
    case kernels::Activation::kSilu:
      return silu(x);
    case kernels::Activation::kGelu:
      return gelu(x);
    case kernels::Activation::kGeluTanh:
      return gelu_tanh(x);
  }
  return 0.0;
}

constexpr kernels::Activation kActivations[] = {
    kernels::Activation::kSilu, kernels::Activation::kGelu, kernels::Activation::kGeluTanh};

// Sizes around the vectors' 8 and 16 lanes, 1, and primes.
const std::vector<Shape> kShapes = {{1, 1}, {3, 7}, {2, 8}, {5, 16}, {3, 17}, {2, 3, 33}};

// Runs `body` for each shape with every instruction set this machine has.
void everywhere(const std::function<void(const Shape&)>& body) {
  for_each_isa([&] {
    for (const Shape& shape : kShapes) {
      body(shape);
    }
  });
}

TEST(Ops, AddMulScaleMatchTheirTwins) {
  everywhere([](const Shape& s) {
    gradcheck(
        "add", {s, s}, [](const Tensors& t) { return add(t[0], t[1]); },
        [](const Arrays& a) {
          Array y = a[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] += a[1][i];
          }
          return y;
        });
    gradcheck(
        "mul", {s, s}, [](const Tensors& t) { return mul(t[0], t[1]); },
        [](const Arrays& a) {
          Array y = a[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] *= a[1][i];
          }
          return y;
        });
    gradcheck(
        "scale", {s}, [](const Tensors& t) { return scale(t[0], -1.7F); },
        [](const Arrays& a) {
          return map(a[0], [](double x) { return x * static_cast<double>(-1.7F); });
        });
  });
}

TEST(Ops, RowsAndColumnsMatchTheirTwins) {
  everywhere([](const Shape& s) {
    const Shape row = {s[-1]};
    gradcheck(
        "add_row", {s, row}, [](const Tensors& t) { return add_row(t[0], t[1]); },
        [](const Arrays& a) {
          Array y = a[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] += a[1][i % y.shape[-1]];
          }
          return y;
        });
    gradcheck(
        "scale_columns", {s, row}, [](const Tensors& t) { return scale_columns(t[0], t[1]); },
        [](const Arrays& a) {
          Array y = a[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] *= a[1][i % y.shape[-1]];
          }
          return y;
        });
  });
}

TEST(Ops, ActivationsMatchTheirTwins) {
  everywhere([](const Shape& s) {
    for (const kernels::Activation kind : kActivations) {
      const GradcheckOptions wide{.input_scale = 3.0};
      gradcheck(
          "activation", {s}, [&](const Tensors& t) { return activation(kind, t[0]); },
          [&](const Arrays& a) { return map(a[0], [&](double x) { return act(kind, x); }); }, wide);
      gradcheck(
          "gated", {s, s}, [&](const Tensors& t) { return gated(kind, t[0], t[1]); },
          [&](const Arrays& a) {
            Array y = map(a[0], [&](double x) { return act(kind, x); });
            for (i64 i = 0; i < y.shape.numel(); ++i) {
              y[i] *= a[1][i];
            }
            return y;
          },
          wide);
    }
  });
}

TEST(Ops, ActivationsStaySaneFarFromZero) {
  for_each_isa([] {
    const Tensor x = Tensor::from({-1e4F, -100.0F, 100.0F, 1e4F}, {4});
    for (const kernels::Activation kind : kActivations) {
      const std::vector<float> y = activation(kind, x).to_vector();
      EXPECT_EQ(y[0], 0.0F);
      EXPECT_NEAR(y[1], 0.0, 1e-30);
      EXPECT_EQ(y[2], 100.0F);
      EXPECT_EQ(y[3], 1e4F);
    }
  });
}

Array norm_twin(const Arrays& a, bool centred, double eps) {
  Array y = a[0];
  const i64 D = y.shape[-1];
  for (i64 r = 0; r < y.rows(); ++r) {
    double mean = 0.0;
    double square = 0.0;
    for (i64 i = 0; centred && i < D; ++i) {
      mean += y[r * D + i] / static_cast<double>(D);
    }
    for (i64 i = 0; i < D; ++i) {
      square += (y[r * D + i] - mean) * (y[r * D + i] - mean) / static_cast<double>(D);
    }
    for (i64 i = 0; i < D; ++i) {
      y[r * D + i] =
          (y[r * D + i] - mean) / std::sqrt(square + eps) * a[1][i] + (centred ? a[2][i] : 0.0);
    }
  }
  return y;
}

TEST(Ops, NormsMatchTheirTwins) {
  everywhere([](const Shape& s) {
    const Shape row = {s[-1]};
    constexpr float kEps =
        1e-2F;  // large, so that a row of one value has a slope the differences can see
    gradcheck(
        "rms_norm", {s, row}, [](const Tensors& t) { return rms_norm(t[0], t[1], kEps); },
        [](const Arrays& a) { return norm_twin(a, false, static_cast<double>(kEps)); });
    gradcheck(
        "layer_norm", {s, row, row},
        [](const Tensors& t) { return layer_norm(t[0], t[1], t[2], kEps); },
        [](const Arrays& a) { return norm_twin(a, true, static_cast<double>(kEps)); });
  });
}

TEST(Ops, SoftmaxMatchesItsTwin) {
  everywhere([](const Shape& s) {
    gradcheck(
        "softmax", {s}, [](const Tensors& t) { return softmax(t[0]); },
        [](const Arrays& a) {
          Array y = map(a[0], [](double x) { return std::exp(x); });
          const i64 D = y.shape[-1];
          for (i64 r = 0; r < y.rows(); ++r) {
            double sum = 0.0;
            for (i64 i = 0; i < D; ++i) {
              sum += y[r * D + i];
            }
            for (i64 i = 0; i < D; ++i) {
              y[r * D + i] /= sum;
            }
          }
          return y;
        });
  });
}

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
    const auto weight = [&](const char* name, bool out_in) {
      Tensor w = Tensor::empty(out_in ? Shape{kOut, in} : Shape{in, kOut});
      fill_uniform(w.mutable_values(), RandomKey(3).with(name), -1.0F, 1.0F);
      return w;
    };
    const Tensor w0 = weight("w0", true);
    const Tensor w1 = weight("w1", false);
    const Tensor w2 = weight("w2", true);
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
          const auto at = [](const Tensor& w, i64 i) { return double{w.data<const float>()[i]}; };
          const auto adapted = [&](int first, i64 rank) {
            const Array inner =
                product(a[0], rank, [&](i64 r, i64 i) { return a[first][r * in + i]; });
            return product(inner, kOut, [&](i64 o, i64 r) { return a[first + 1][o * rank + r]; });
          };
          const Array plain[3] = {
              product(a[0], kOut, [&](i64 o, i64 i) { return at(w0, o * in + i); }),
              product(a[0], kOut, [&](i64 o, i64 i) { return at(w1, i * kOut + o); }),
              product(a[0], kOut, [&](i64 o, i64 i) { return at(w2, o * in + i); })};
          const Array first = adapted(2, 3);
          const Array second = adapted(4, 5);
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
  Tensor w = Tensor::empty({kOut, kIn});
  fill_uniform(w.mutable_values(), RandomKey(4), -1.0F, 1.0F);
  gradcheck(
      "project_onto", {{5, kOut}, {5, kIn}},
      [&](const Tensors& t) {
        Projection part;
        part.weight = FrozenMatrix(w);
        return project_onto(t[0], t[1], part, GemmCompute::kF32);
      },
      [&](const Arrays& a) {
        Array y = product(a[1], kOut,
                          [&](i64 o, i64 i) { return double{w.data<const float>()[o * kIn + i]}; });
        for (i64 i = 0; i < y.shape.numel(); ++i) {
          y[i] += a[0][i];
        }
        return y;
      });
}

Tensor uniform_leaf(const Shape& shape, u64 seed, bool trained) {
  const Tensor t = Tensor::empty(shape);
  fill_uniform(t.mutable_values(), RandomKey(seed), -1.0F, 1.0F);
  t.set_requires_grad(trained);
  return t;
}

std::vector<float> copied(const Tensor& t) {
  return {t.values().begin(), t.values().end()};
}

// Two layers, one with two updates, of which one drops values of x, and a scale; the other with one
// that drops more of them. The masks are those of `dropout` for the same key.
TEST(Ops, ProjectWithDropoutAndScalesMatchesItsTwinAndItsCentralDifferences) {
  everywhere([](const Shape& s) {
    const i64 in = s[-1];
    constexpr i64 kOut = 13;
    const auto frozen = [&](const char* name) {
      Tensor w = Tensor::empty({kOut, in});
      fill_uniform(w.mutable_values(), RandomKey(3).with(name), -1.0F, 1.0F);
      return w;
    };
    const Tensor w0 = frozen("w0"), w1 = frozen("w1");
    const RandomKey key0 = RandomKey(8).with("first"), key1 = RandomKey(8).with("second");
    const auto mask = [&](float p, RandomKey key) {
      Tensor ones = Tensor::empty(s);
      std::ranges::fill(ones.mutable_values(), 1.0F);
      return dropout(ones, p, key);
    };
    const Tensor mask0 = mask(0.2F, key0), mask1 = mask(0.6F, key1);
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
            const auto update = [&](int first, i64 rank, const Tensor& kept) {
              Array x = a[0];
              for (i64 i = 0; i < x.shape.numel() && kept.defined(); ++i) {
                x[i] *= double{kept.data<const float>()[i]};
              }
              const Array inner =
                  product(x, rank, [&](i64 r, i64 i) { return a[first][r * in + i]; });
              return product(inner, kOut, [&](i64 o, i64 r) { return a[first + 1][o * rank + r]; });
            };
            const auto base = [&](const Tensor& w) {
              return product(a[0], kOut, [&](i64 o, i64 i) {
                return double{w.data<const float>()[o * in + i]};
              });
            };
            const Array plain0 = base(w0), plain1 = base(w1), first = update(3, 3, {}),
                        second = update(5, 9, mask0), third = update(7, 5, mask1);
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
      Tensor w = Tensor::empty({kOut, in});
      fill_uniform(w.mutable_values(), RandomKey(3).with(name), -1.0F, 1.0F);
      return w;
    };
    const Tensor w0 = frozen("w0"), w1 = frozen("w1"), w2 = frozen("w2");
    const RandomKey key = RandomKey(8).with("scaled");
    Tensor mask = Tensor::empty(s);
    std::ranges::fill(mask.mutable_values(), 1.0F);
    mask = dropout(mask, 0.2F, key);
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
            const auto at = [](const Tensor& w, i64 i) { return double{w.data<const float>()[i]}; };
            const auto scaled = [&](int scale) {
              Array x = a[0];
              for (i64 i = 0; i < x.shape.numel(); ++i) {
                x[i] *= a[scale][i % in];
              }
              return x;
            };
            const auto base = [&](const Array& x, const Tensor& w) {
              return product(x, kOut, [&](i64 o, i64 i) { return at(w, o * in + i); });
            };
            Array dropped = scaled(2);
            for (i64 i = 0; i < dropped.shape.numel(); ++i) {
              dropped[i] *= at(mask, i);
            }
            const Array inner = product(dropped, 3, [&](i64 r, i64 i) { return a[4][r * in + i]; });
            const Array update =
                product(inner, kOut, [&](i64 o, i64 r) { return a[5][o * 3 + r]; });
            const Array y0 = base(scaled(1), w0), y1 = base(scaled(2), w1), y2 = base(a[0], w2);
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
    Tensor mask = Tensor::empty(s);
    std::ranges::fill(mask.mutable_values(), 1.0F);
    mask = dropout(mask, 0.3F, key);
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
            const auto update = [&](const Array& x, int first, i64 rank) {
              const Array inner =
                  product(x, rank, [&](i64 r, i64 i) { return a[first][r * in + i]; });
              return product(inner, kOut, [&](i64 o, i64 r) { return a[first + 1][o * rank + r]; });
            };
            Array dropped = a[0];
            for (i64 i = 0; i < dropped.shape.numel(); ++i) {
              dropped[i] *= double{mask.data<const float>()[i]};
            }
            const Array first = update(dropped, 1, 3), second = update(a[0], 3, 2);
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

// Lengths against sums in double, and V = W + s B A formed.
TEST(Ops, LengthsAreThoseOfRowsAndColumns) {
  constexpr i64 kRows = 9, kCols = 300, kRank = 4;
  constexpr double kScale = 0.7;
  const auto uniform = [](const Shape& shape, const char* name) {
    Tensor t = Tensor::empty(shape);
    fill_uniform(t.mutable_values(), RandomKey(5).with(name), -1.0F, 1.0F);
    return t;
  };
  const Tensor w = uniform({kRows, kCols}, "w"), a = uniform({kRank, kCols}, "a"),
               b = uniform({kRows, kRank}, "b");
  const Tensor squares = Tensor::empty({kRows}, DType::kF64);
  row_squares(w.slice(0, 0, 5).contiguous(), squares.slice(0, 0, 5));
  row_squares(w.slice(0, 5, kRows).contiguous(), squares.slice(0, 5, kRows));
  const Tensor inverse = inverse_row_norms(squares, linear(a, w), a, b, kScale);
  const Tensor lengths = reciprocal(inverse);
  const Tensor unit = scale_rows(w, inverse);
  const auto at = [](const Tensor& t, i64 i) { return double{t.values()[i]}; };
  for (i64 r = 0; r < kRows; ++r) {
    double square = 0.0;
    for (i64 c = 0; c < kCols; ++c) {
      double v = at(w, r * kCols + c);
      for (i64 k = 0; k < kRank; ++k) {
        v += kScale * at(b, r * kRank + k) * at(a, k * kCols + c);
      }
      square += v * v;
    }
    EXPECT_NEAR(at(lengths, r) / std::sqrt(square), 1.0, 1e-5);
    EXPECT_EQ(unit.values()[r * kCols + 7], w.values()[r * kCols + 7] * inverse.values()[r]);
  }
  const Tensor columns = Tensor::zeros({kCols}, DType::kF64);
  add_column_squares(w.slice(0, 0, 4).contiguous(), columns);
  add_column_squares(w.slice(0, 4, kRows).contiguous(), columns);
  const Tensor ratio = over_lengths(Tensor::full({kCols}, 3.0F), columns);
  for (i64 c = 0; c < kCols; ++c) {
    double square = 0.0;
    for (i64 r = 0; r < kRows; ++r) {
      square += at(w, r * kCols + c) * at(w, r * kCols + c);
    }
    EXPECT_FLOAT_EQ(ratio.values()[c], static_cast<float>(3.0 / std::sqrt(square)));
  }
}

// The result, then the gradients of the leaves that are trained.
std::vector<std::vector<float>> results_of(const Tensors& leaves,
                                           const std::function<Tensor(const Tensors&)>& f) {
  for (const Tensor& leaf : leaves) {
    leaf.set_grad({});
  }
  const Tensor y = f(leaves);
  std::vector<std::vector<float>> out = {copied(y)};
  backward(y, uniform_leaf(y.shape(), 99, false));
  for (const Tensor& leaf : leaves) {
    if (leaf.requires_grad()) {
      out.push_back(copied(leaf.grad()));
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

TEST(Ops, MatmulNamesTheSizesThatDiffer) {
  try {
    matmul(Tensor::zeros({2, 3}), Tensor::zeros({4, 5}));
    FAIL() << "no error";
  } catch (const ShapeError& e) {
    EXPECT_STREQ(e.what(), "matmul: inner sizes differ: a [2, 3] @ b [4, 5]");
  }
}

TEST(Ops, EmbeddingAndSelectionsMatchTheirTwins) {
  const std::vector<i32> ids = {3, 0, 3, 6, 1};
  for (const i64 C : {1, 7, 16, 65}) {
    const auto rows = [&](const Arrays& a) {
      Array y = zeros({5, C});
      for (i64 t = 0; t < 5; ++t) {
        for (i64 c = 0; c < C; ++c) {
          y[t * C + c] = a[0][ids[t] * C + c];
        }
      }
      return y;
    };
    gradcheck(
        "embedding", {{7, C}}, [&](const Tensors& t) { return embedding(t[0], ids); }, rows);
    gradcheck(
        "gather_rows", {{7, C}}, [&](const Tensors& t) { return gather_rows(t[0], ids); }, rows);
    gradcheck(
        "gather_columns", {{C, 7}}, [&](const Tensors& t) { return gather_columns(t[0], ids); },
        [&](const Arrays& a) {
          Array y = zeros({5, C});
          for (i64 t = 0; t < 5; ++t) {
            for (i64 c = 0; c < C; ++c) {
              y[t * C + c] = a[0][c * 7 + ids[t]];
            }
          }
          return y;
        });
  }
}

TEST(Ops, SplitColumnsAddsUpUnevenUses) {
  gradcheck(
      "split_columns", {{4, 9}},
      [](const Tensors& t) {
        const std::vector<i64> widths = {3, 3, 3};
        const std::vector<Tensor> parts = split_columns(t[0], widths);
        return add(mul(parts[0], parts[2]), parts[0]);  // the middle part is not used
      },
      [](const Arrays& a) {
        Array y = zeros({4, 3});
        for (i64 r = 0; r < 4; ++r) {
          for (i64 c = 0; c < 3; ++c) {
            const double first = a[0][r * 9 + c];
            y[r * 3 + c] = first * a[0][r * 9 + 6 + c] + first;
          }
        }
        return y;
      });
}

TEST(Ops, StridedInputsGiveTheSameAsDenseOnes) {
  const GradcheckOptions strided{.strided_inputs = true};
  gradcheck(
      "strided add", {{5, 17}, {5, 17}}, [](const Tensors& t) { return add(t[0], t[1]); },
      [](const Arrays& a) {
        Array y = a[0];
        for (i64 i = 0; i < y.shape.numel(); ++i) {
          y[i] += a[1][i];
        }
        return y;
      },
      strided);
  gradcheck(
      "strided linear", {{5, 17}},
      [](const Tensors& t) {
        return linear(t[0], Tensor::full({2, 17}, 0.5F));
      },
      [](const Arrays& a) { return product(a[0], 2, [](i64, i64) { return 0.5; }); }, strided);
}

TEST(Ops, RopeTurnsPairsByTheirPosition) {
  const std::vector<i32> positions = {0, 3, 1};
  const i64 D = 10;
  const i64 half = 4;  // two values of each head pass through
  RopeTables tables{Tensor::empty({4, half}), Tensor::empty({4, half})};
  for (i64 p = 0; p < 4; ++p) {
    for (i64 k = 0; k < half; ++k) {
      const double angle = static_cast<double>(p) * std::pow(100.0, -static_cast<double>(k) / half);
      tables.cosines.data<float>()[p * half + k] = static_cast<float>(std::cos(angle));
      tables.sines.data<float>()[p * half + k] = static_cast<float>(std::sin(angle));
    }
  }
  for_each_isa([&] {
    gradcheck(
        "rope", {{3, 2 * D}}, [&](const Tensors& t) { return rope(t[0], D, positions, tables); },
        [&](const Arrays& a) {
          Array y = a[0];
          for (i64 r = 0; r < 3; ++r) {
            for (i64 h = 0; h < 2; ++h) {
              for (i64 k = 0; k < half; ++k) {
                const double c =
                    static_cast<double>(tables.cosines.values()[positions[r] * half + k]);
                const double s =
                    static_cast<double>(tables.sines.values()[positions[r] * half + k]);
                const i64 at = r * 2 * D + h * D + k;
                y[at] = a[0][at] * c - a[0][at + half] * s;
                y[at + half] = a[0][at + half] * c + a[0][at] * s;
              }
            }
          }
          return y;
        });
  });
}

TEST(Ops, DropoutKeepsItsMeanAndDrawsTheSameMaskAgain) {
  const Tensor x = Tensor::full({1 << 16}, 1.0F);
  x.set_requires_grad(true);
  const Tensor y = dropout(x, 0.25F, RandomKey(5));
  i64 dropped = 0;
  for (const float v : y.values()) {
    dropped += v == 0.0F ? 1 : 0;
    EXPECT_TRUE(v == 0.0F || v == 1.0F / 0.75F);
  }
  // 3 sigma of a binomial: 3 sqrt(0.25 * 0.75 * 65536) = 333.
  EXPECT_NEAR(static_cast<double>(dropped), 16384.0, 333.0);
  backward(y, Tensor::full({1 << 16}, 1.0F));
  EXPECT_EQ(x.grad().to_vector(), y.to_vector());
  EXPECT_NE(dropout(x, 0.25F, RandomKey(6)).to_vector(), y.to_vector());
}

}  // namespace
}  // namespace inlay
