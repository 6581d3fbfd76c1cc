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
#include "core/ops/rope.h"
#include "core/ops/shape.h"
#include "tests/core/op_twins.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::Arrays;
using testing::everywhere;
using testing::for_each_isa;
using testing::product;
using testing::Tensors;

Array map(const Array& x, const std::function<double(double)>& f) {
  Array y = x;
  for (double& v : y.values) {
    v = f(v);
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
    case kernels::Activation::kRelu:
      return std::max(x, 0.0);
    case kernels::Activation::kRelu2:
      return std::max(x, 0.0) * std::max(x, 0.0);
  }
  return 0.0;
}

constexpr kernels::Activation kActivations[] = {
    kernels::Activation::kSilu, kernels::Activation::kGelu, kernels::Activation::kGeluTanh,
    kernels::Activation::kRelu, kernels::Activation::kRelu2};

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
        "add_scaled", {s, s}, [](const Tensors& t) { return add_scaled(t[0], t[1], -0.75F); },
        [](const Arrays& a) {
          Array y = a[0];
          for (i64 i = 0; i < y.shape.numel(); ++i) {
            y[i] -= 0.75 * a[1][i];
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
      const Shape twice = s.with(-1, 2 * s[-1]);
      gradcheck(
          "gated_rows", {twice}, [&](const Tensors& t) { return gated_rows(kind, t[0]); },
          [&](const Arrays& a) {
            Array y{s, std::vector<double>(static_cast<std::size_t>(s.numel()))};
            const i64 width = s[-1];
            for (i64 i = 0; i < s.numel(); ++i) {
              const i64 gate = i / width * 2 * width + i % width;
              y[i] = act(kind, a[0][gate]) * a[0][gate + width];
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
      const bool squared = kind == kernels::Activation::kRelu2;
      EXPECT_EQ(y[2], squared ? 1e4F : 100.0F);
      EXPECT_EQ(y[3], squared ? 1e8F : 1e4F);
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
        "rms_norm", {s, row}, [](const Tensors& t) { return rms_norm(t[0], t[1], {.eps = kEps}); },
        [](const Arrays& a) { return norm_twin(a, false, static_cast<double>(kEps)); });
    gradcheck(
        "layer_norm", {s, row, row},
        [](const Tensors& t) { return layer_norm(t[0], t[1], t[2], {.eps = kEps}); },
        [](const Arrays& a) { return norm_twin(a, true, static_cast<double>(kEps)); });
  });
}

TEST(Ops, NormsOfAnOffsetWithoutVectorsAndOntoAResidualMatchTheirTwins) {
  everywhere([](const Shape& s) {
    const Shape row = {s[-1]};
    constexpr float kEps = 1e-2F;
    const NormOptions one{.eps = kEps, .offset = 1.0F};
    // The weight of the twin, which knows neither, and no bias.
    const auto twin = [&](Arrays a, bool centred, double offset) {
      if (a.size() == 1) {
        a.push_back({row, std::vector<double>(static_cast<std::size_t>(row.numel()), 1.0)});
      }
      for (double& w : a[1].values) {
        w += offset;
      }
      a.resize(2);
      a.push_back({row, std::vector<double>(static_cast<std::size_t>(row.numel()), 0.0)});
      return norm_twin(a, centred, static_cast<double>(kEps));
    };
    gradcheck(
        "rms_norm of 1 + w", {s, row}, [&](const Tensors& t) { return rms_norm(t[0], t[1], one); },
        [&](const Arrays& a) { return twin(a, false, 1.0); });
    gradcheck(
        "rms_norm without a weight", {s},
        [&](const Tensors& t) { return rms_norm(t[0], {}, {.eps = kEps}); },
        [&](const Arrays& a) { return twin(a, false, 0.0); });
    gradcheck(
        "layer_norm of 1 + w without a bias", {s, row},
        [&](const Tensors& t) { return layer_norm(t[0], t[1], {}, one); },
        [&](const Arrays& a) { return twin(a, true, 1.0); });
    gradcheck(
        "rms_norm_onto", {s, row, s},
        [&](const Tensors& t) { return rms_norm_onto(t[2], t[0], t[1], one); },
        [&](const Arrays& a) {
          Array y = twin(a, false, 1.0);
          for (i64 i = 0; i < s.numel(); ++i) {
            y[i] += a[2][i];
          }
          return y;
        });
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
  const struct {
    const char* name;
    i64 D, pairs;
    RopePairs order;
    i64 distance;
  } cases[] = {
      {"rope, two values of each head pass through", 10, 4, RopePairs::kHalves, 0},
      {"rope, the first pairs of the whole head", 20, 3, RopePairs::kHalves, 10},
      {"rope, more pairs than lanes", 42, 21, RopePairs::kHalves, 0},
      {"rope, neighbours, two values of each head pass through", 10, 4, RopePairs::kInterleaved, 0},
      {"rope, neighbours, more pairs than lanes", 42, 21, RopePairs::kInterleaved, 0},
  };
  const std::vector<i32> positions = {0, 3, 1};
  for (const auto& c : cases) {
    RopeTables tables{Tensor::empty({4, c.pairs}), Tensor::empty({4, c.pairs}), c.order,
                      c.distance};
    for (i64 at = 0; at < 4 * c.pairs; ++at) {
      const double frequency =
          std::pow(100.0, -static_cast<double>(at % c.pairs) / static_cast<double>(c.pairs));
      const double angle = static_cast<double>(at / c.pairs) * frequency;
      tables.cosines.data<float>()[at] = static_cast<float>(std::cos(angle));
      tables.sines.data<float>()[at] = static_cast<float>(std::sin(angle));
    }
    const auto expected = [&](const Arrays& a) {
      Array y = a[0];
      for (i64 head = 0; head < 3 * 2; ++head) {
        for (i64 k = 0; k < c.pairs; ++k) {
          const bool halves = c.order == RopePairs::kHalves;
          const i64 first = head * c.D + (halves ? k : 2 * k);
          const i64 second = first + (halves ? std::max(c.distance, c.pairs) : 1);
          const i64 angle = positions[head / 2] * c.pairs + k;
          const double cosine = static_cast<double>(tables.cosines.values()[angle]);
          const double sine = static_cast<double>(tables.sines.values()[angle]);
          y[first] = a[0][first] * cosine - a[0][second] * sine;
          y[second] = a[0][second] * cosine + a[0][first] * sine;
        }
      }
      return y;
    };
    for_each_isa([&] {
      gradcheck(
          c.name, {{3, 2 * c.D}},
          [&](const Tensors& t) { return rope(t[0], c.D, positions, tables); }, expected);
    });
  }
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
