// SPDX-License-Identifier: Apache-2.0
#include "core/ops/norm_rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/ops/clamp.h"
#include "core/ops/norm.h"
#include "core/ops/shape.h"
#include "tests/core/op_twins.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::Arrays;
using testing::for_each_isa;
using testing::Tensors;
using testing::uniform;

const std::vector<i32> kPositions = {0, 3, 1, 2, 3};
constexpr i64 kTokens = 5;
constexpr i64 kHalf = 4;

RopeTables some_tables() {
  RopeTables tables{Tensor::empty({4, kHalf}), Tensor::empty({4, kHalf})};
  for (i64 p = 0; p < 4; ++p) {
    for (i64 k = 0; k < kHalf; ++k) {
      const double angle =
          static_cast<double>(p) * std::pow(100.0, -static_cast<double>(k) / kHalf);
      // With a magnitude, as yarn's and longrope's are: what a norm behind RoPE takes out again.
      tables.cosines.data<float>()[p * kHalf + k] = static_cast<float>(1.25 * std::cos(angle));
      tables.sines.data<float>()[p * kHalf + k] = static_cast<float>(1.25 * std::sin(angle));
    }
  }
  return tables;
}

void turn_rows(Array& y, i64 head_dim, const RopeTables& tables) {
  for (i64 at = 0; at < y.shape.numel(); at += head_dim) {
    const i64 row = at / y.shape[-1];
    for (i64 k = 0; k < kHalf; ++k) {
      const i64 angle = kPositions[static_cast<std::size_t>(row)] * kHalf + k;
      const double c = double{tables.cosines.values()[angle]};
      const double s = double{tables.sines.values()[angle]};
      const double first = y[at + k];
      const double second = y[at + k + kHalf];
      y[at + k] = first * c - second * s;
      y[at + k + kHalf] = second * c + first * s;
    }
  }
}

void norm_rows(Array& y, const Array& weight, const HeadNorm& norm) {
  const i64 D = norm.group;
  for (i64 at = 0; at < y.shape.numel(); at += D) {
    double mean = 0.0;
    double square = 0.0;
    for (i64 i = 0; norm.centred && i < D; ++i) {
      mean += y[at + i] / static_cast<double>(D);
    }
    for (i64 i = 0; i < D; ++i) {
      square += (y[at + i] - mean) * (y[at + i] - mean) / static_cast<double>(D);
    }
    for (i64 i = 0; i < D; ++i) {
      const i64 own = (at + i) % y.shape[-1];
      y[at + i] = (y[at + i] - mean) / std::sqrt(square + static_cast<double>(norm.eps)) *
                  weight[weight.shape[0] == D ? i : own];
    }
  }
}

struct Case {
  i64 heads, head_dim, group;
  bool own_weights, centred, after_rope, turns, strided;
};

void check_case(const Case& c) {
  SCOPED_TRACE(::testing::Message()
               << c.heads << " heads of " << c.head_dim << ", groups of " << c.group
               << (c.own_weights ? ", own weights" : "") << (c.centred ? ", centred" : "")
               << (c.after_rope ? ", after rope" : "") << (c.turns ? "" : ", no rope")
               << (c.strided ? ", strided" : ""));
  const i64 width = c.heads * c.head_dim;
  const RopeTables tables = some_tables();
  const HeadNorm norm{
      .group = c.group, .centred = c.centred, .eps = 1e-2F, .after_rope = c.after_rope};
  std::optional<HeadTurn> turn;
  if (c.turns) {
    turn = HeadTurn{c.head_dim, kPositions, tables};
  }
  const auto op = [&](const Tensors& t) {
    if (!c.strided) {
      return norm_heads(t[0], t[1], norm, turn);
    }
    const std::vector<i64> widths = {7, width};
    return norm_heads(split_columns(t[0], widths)[1], t[1], norm, turn);
  };
  const auto twin = [&](const Arrays& a) {
    Array y = zeros({kTokens, width});
    const i64 from = a[0].shape[-1];
    for (i64 i = 0; i < kTokens * width; ++i) {
      y[i] = a[0][i / width * from + from - width + i % width];
    }
    if (c.turns && c.after_rope) {
      turn_rows(y, c.head_dim, tables);
    }
    norm_rows(y, a[1], norm);
    if (c.turns && !c.after_rope) {
      turn_rows(y, c.head_dim, tables);
    }
    return y;
  };
  gradcheck("norm_heads",
            {{kTokens, width + (c.strided ? 7 : 0)}, {c.own_weights ? width : c.group}}, op, twin);
}

TEST(NormRope, MatchesItsTwin) {
  for_each_isa([] {
    for (const bool after : {false, true}) {
      for (const bool turns : {false, true}) {
        check_case({3, 10, 10, false, false, after, turns, false});
        check_case({3, 70, 70, false, true, after, turns, true});
        check_case({3, 10, 10, true, true, after, turns, false});
        check_case({2, 40, 80, false, false, after, turns, true});
        check_case({1, 8, 8, false, false, after, turns, false});
      }
    }
  });
}

TEST(NormRope, IsTheNormThenTheTurn) {
  const RopeTables tables = some_tables();
  const Tensor x = uniform({kTokens, 64}, RandomKey(1));
  const Tensor weight = uniform({16}, RandomKey(2));
  const HeadTurn turn{16, kPositions, tables};
  const HeadNorm norm{.group = 16, .eps = 1e-6F};
  const Tensor apart =
      rope(rms_norm(x.view({kTokens * 4, 16}), weight, {.eps = 1e-6F}).view({kTokens, 64}), 16,
           kPositions, tables);
  EXPECT_EQ(norm_heads(x, weight, norm, turn).to_vector(), apart.to_vector());
}

TEST(NormRope, KeptRoundedTheResultIsMadeAgainFromTheRoundedInput) {
  for (const bool after : {false, true}) {
    const RopeTables tables = some_tables();
    const Tensor leaf = uniform({kTokens, 32}, RandomKey(3));
    leaf.set_requires_grad(true);
    const Tensor weight = Tensor::full({16}, 1.5F);
    const HeadNorm norm{.group = 16, .after_rope = after};
    const HeadTurn turn{16, kPositions, tables};
    const Tensor y = norm_heads(scale(leaf, 1.0F), weight, norm, turn, Keep::kRounded);
    const std::vector<float> made = save(y, Keep::kRounded).get().to_vector();
    const std::vector<float> exact = y.to_vector();
    double largest = 0.0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      largest = std::max(largest, std::abs(double{made[i]} - double{exact[i]}));
    }
    EXPECT_GT(largest, 0.0);
    EXPECT_LT(largest, 2e-2);  // two values of up to 1.25 * 3, each rounded by 2^-9 of itself
  }
}

TEST(NormRope, IsWrittenOverWhatNobodyElseHolds) {
  for (const bool after : {false, true}) {
    Tensor x = uniform({kTokens, 32}, RandomKey(4));
    const float* memory = x.values().data();
    const HeadTurn turn{16, kPositions, some_tables()};
    const HeadNorm norm{.group = 16, .after_rope = after};
    const Tensor y = norm_heads(std::move(x), Tensor::full({16}, 1.0F), norm, turn);
    EXPECT_EQ(y.values().data(), memory);
  }
}

TEST(NormRope, SaysWhichShapesDoNotFit) {
  const Tensor x = Tensor::zeros({2, 12});
  EXPECT_THROW(norm_heads(x, Tensor::zeros({5}), {.group = 5}), ShapeError);
  EXPECT_THROW(norm_heads(x, Tensor::zeros({4}), {.group = 6}), ShapeError);
}

TEST(Clamp, MatchesItsTwin) {
  gradcheck(
      "clamp", {{7, 13}}, [](const Tensors& t) { return clamp(t[0], 0.4F); },
      [](const Arrays& a) {
        Array y = a[0];
        for (double& v : y.values) {
          v = std::clamp(v, -static_cast<double>(0.4F), static_cast<double>(0.4F));
        }
        return y;
      });
}

TEST(SplitHeads, TakesTheRangesOfEveryHead) {
  constexpr i64 kHeads = 3;
  const std::vector<i64> widths = {2, 1, 4};
  for (std::size_t part = 0; part < widths.size(); ++part) {
    const i64 begin = part == 0 ? 0 : part == 1 ? 2 : 3;
    const i64 w = widths[part];
    gradcheck(
        "split_heads", {{4, kHeads * 7}},
        [&](const Tensors& t) { return split_heads(t[0], kHeads, widths)[part]; },
        [&](const Arrays& a) {
          Array y = zeros({4, kHeads * w});
          for (i64 i = 0; i < 4 * kHeads * w; ++i) {
            const i64 head = i / w;  // of all rows
            y[i] = a[0][head * 7 + begin + i % w];
          }
          return y;
        });
  }
}

TEST(Concatenate, JoinsMoreVectorsThanOneOperationTakes) {
  constexpr i64 kParts = 70;
  std::vector<Shape> shapes;
  for (i64 i = 0; i < kParts; ++i) {
    shapes.push_back({1 + i % 3});
  }
  gradcheck(
      "concatenate", shapes, [](const Tensors& t) { return concatenate(t); },
      [](const Arrays& a) {
        Array y;
        for (const Array& part : a) {
          y.values.insert(y.values.end(), part.values.begin(), part.values.end());
        }
        y.shape = {static_cast<i64>(y.values.size())};
        return y;
      });
}

}  // namespace
}  // namespace inlay
