// SPDX-License-Identifier: Apache-2.0

// Mixtures of experts, against the same in double, one row after the other.

#include "core/ops/experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using kernels::ExpertGate;
using testing::for_each_isa;

// The k largest_logits of a row of logits, the largest_logits first.
std::vector<i64> largest_logits(const Array& logits, i64 row, i64 k) {
  const i64 E = logits.shape[1];
  std::vector<i64> order(E);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order,
                           [&](i64 a, i64 b) { return logits[row * E + a] > logits[row * E + b]; });
  order.resize(k);
  return order;
}

std::vector<double> choice_weights(const Array& logits, i64 row, const std::vector<i64>& chosen,
                                   bool normalised) {
  const i64 E = logits.shape[1];
  double all = 0.0, some = 0.0;
  for (i64 e = 0; e < E; ++e) {
    all += std::exp(logits[row * E + e]);
  }
  for (const i64 e : chosen) {
    some += std::exp(logits[row * E + e]);
  }
  std::vector<double> weights;
  for (const i64 e : chosen) {
    weights.push_back(std::exp(logits[row * E + e]) / (normalised ? some : all));
  }
  return weights;
}

double sigmoid_of(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

double gated_value(const ExpertGate& gate, double g, double u) {
  if (!gate.clamped) {
    return g * sigmoid_of(g) * u;
  }
  const auto limit = static_cast<double>(gate.limit);
  const double clamped = std::min(g, limit), bounded = std::clamp(u, -limit, limit);
  return (bounded + 1.0) * clamped * sigmoid_of(static_cast<double>(gate.alpha) * clamped);
}

struct ExpertCase {
  std::string name;
  i64 N = 7, C = 5, I = 3, E = 4, k = 2;
  bool normalised = true;
  ExpertGate gate = {};
  bool in_out = false;  // [E, in, out] in one tensor, else a matrix an expert and part
  bool bias = false;
  i64 rank = 0;  // of an update of each projection
};

// The inputs of an operation by what they are.
struct ExpertInputs {
  explicit ExpertInputs(const ExpertCase& of) : c(of) {
    const i64 parts = c.in_out ? 1 : 2, wide = 2 * c.I / parts;
    const auto add = [&](std::vector<int>& to, const Shape& shape) {
      to.push_back(static_cast<int>(shapes.size()));
      shapes.push_back(shape);
    };
    add(fixed, {c.N, c.C});  // residual
    add(fixed, {c.N, c.C});  // x
    add(fixed, {c.N, c.E});  // logits
    for (i64 p = 0; p < parts; ++p) {
      for (i64 e = 0; e < (c.in_out ? 1 : c.E); ++e) {
        add(gate_up, c.in_out ? Shape{c.E, c.C, wide} : Shape{wide, c.C});
      }
    }
    for (i64 e = 0; e < (c.in_out ? 1 : c.E); ++e) {
      add(down, c.in_out ? Shape{c.E, c.I, c.C} : Shape{c.C, c.I});
    }
    if (c.bias) {
      add(biases, {c.E, 2 * c.I});
      add(biases, {c.E, c.C});
    }
    if (c.rank > 0) {
      add(updates, {c.E * c.rank, c.C});
      add(updates, {2 * c.I, c.rank * c.E});
      add(updates, {c.E * c.rank, c.I});
      add(updates, {c.C, c.rank * c.E});
    }
  }
  const ExpertCase& c;
  std::vector<Shape> shapes;
  std::vector<int> fixed, gate_up, down, biases, updates;
};

constexpr float kUpdateFactor = 0.5F;

ExpertMatrices trained_matrices(const ExpertCase& c, const std::vector<Tensor>& in,
                                const std::vector<int>& which, std::size_t first, std::size_t count,
                                i64 ins, i64 outs) {
  ExpertMatrices m = {
      .in = ins, .out = outs, .layout = c.in_out ? WeightLayout::kInOut : WeightLayout::kOutIn};
  for (std::size_t i = first; i < first + count; ++i) {
    m.trained.push_back(in[which[i]]);
  }
  return m;
}

ExpertMlp experts_of(const ExpertCase& c, const ExpertInputs& at, const std::vector<Tensor>& in) {
  ExpertMlp mlp;
  mlp.experts = c.E;
  mlp.gate = c.gate;
  if (c.in_out) {
    mlp.wide.parts = {trained_matrices(c, in, at.gate_up, 0, 1, c.C, 2 * c.I)};
    mlp.down.parts = {trained_matrices(c, in, at.down, 0, 1, c.I, c.C)};
  } else {
    mlp.wide.parts = {trained_matrices(c, in, at.gate_up, 0, c.E, c.C, c.I),
                      trained_matrices(c, in, at.gate_up, c.E, c.E, c.C, c.I)};
    mlp.down.parts = {trained_matrices(c, in, at.down, 0, c.E, c.I, c.C)};
  }
  if (c.bias) {
    mlp.wide.parts[0].bias = in[at.biases[0]];
    mlp.down.parts[0].bias = in[at.biases[1]];
  }
  if (c.rank > 0) {
    mlp.wide.updates = {{in[at.updates[0]], in[at.updates[1]], kUpdateFactor}};
    mlp.down.updates = {{in[at.updates[2]], in[at.updates[3]], kUpdateFactor}};
  }
  return mlp;
}

// W_e[o][i] of a projection with its update, for the twin.
double expert_weight(const ExpertCase& c, const ExpertInputs& at, const std::vector<Array>& in,
                     bool wide, i64 e, i64 o, i64 i) {
  const i64 ins = wide ? c.C : c.I, outs = wide ? 2 * c.I : c.C;
  const std::vector<int>& which = wide ? at.gate_up : at.down;
  double w = 0.0;
  if (c.in_out) {
    w = in[which[0]][(e * ins + i) * outs + o];
  } else if (wide) {
    w = in[which[o / c.I * c.E + e]][o % c.I * ins + i];
  } else {
    w = in[which[e]][o * ins + i];
  }
  if (c.rank > 0) {
    const Array& a = in[at.updates[wide ? 0 : 2]];
    const Array& b = in[at.updates[wide ? 1 : 3]];
    for (i64 j = 0; j < c.rank; ++j) {
      w += static_cast<double>(kUpdateFactor) * b[o * c.rank * c.E + j * c.E + e] *
           a[(e * c.rank + j) * ins + i];
    }
  }
  return w;
}

Array experts_twin(const ExpertCase& c, const ExpertInputs& at, const std::vector<Array>& in) {
  Array y = in[0];
  for (i64 n = 0; n < c.N; ++n) {
    const std::vector<i64> chosen = largest_logits(in[2], n, c.k);
    const std::vector<double> weights = choice_weights(in[2], n, chosen, c.normalised);
    for (i64 j = 0; j < c.k; ++j) {
      const i64 e = chosen[j];
      std::vector<double> wide(2 * c.I), h(c.I);
      for (i64 o = 0; o < 2 * c.I; ++o) {
        wide[o] = c.bias ? in[at.biases[0]][e * 2 * c.I + o] : 0.0;
        for (i64 i = 0; i < c.C; ++i) {
          wide[o] += expert_weight(c, at, in, true, e, o, i) * in[1][n * c.C + i];
        }
      }
      for (i64 i = 0; i < c.I; ++i) {
        h[i] = c.gate.interleaved ? gated_value(c.gate, wide[2 * i], wide[2 * i + 1])
                                  : gated_value(c.gate, wide[i], wide[c.I + i]);
      }
      for (i64 o = 0; o < c.C; ++o) {
        double z = c.bias ? in[at.biases[1]][e * c.C + o] : 0.0;
        for (i64 i = 0; i < c.I; ++i) {
          z += expert_weight(c, at, in, false, e, o, i) * h[i];
        }
        y[n * c.C + o] += weights[j] * z;
      }
    }
  }
  return y;
}

std::vector<ExpertCase> expert_cases() {
  const ExpertGate clamped = {.clamped = true, .alpha = 1.3F, .limit = 0.4F, .interleaved = true};
  return {
      {.name = "normalised"},
      {.name = "shares of all", .normalised = false},
      {.name = "one expert a row", .k = 1},
      {.name = "all experts", .E = 3, .k = 3, .normalised = false},
      {.name = "more experts than pairs", .N = 2, .E = 17, .k = 3},
      {.name = "with updates", .I = 4, .rank = 2},
      {.name = "clamped", .gate = clamped, .in_out = true, .bias = true},
      {.name = "clamped, with updates", .gate = clamped, .in_out = true, .bias = true, .rank = 3}};
}

TEST(Experts, MatchATwinInDoubleAndItsCentralDifferences) {
  for_each_isa([] {
    for (const ExpertCase& c : expert_cases()) {
      for (const Keep wide : {Keep::kExact, Keep::kRecipe}) {
        SCOPED_TRACE(c.name);
        const ExpertInputs at(c);
        gradcheck(
            "experts", at.shapes,
            [&](const std::vector<Tensor>& in) {
              const Routing routing = route(in[2], {.chosen = c.k, .normalised = c.normalised});
              return expert_mlp(in[0], in[1], routing, experts_of(c, at, in), GemmCompute::kF32,
                                {.wide = wide});
            },
            [&](const std::vector<Array>& in) { return experts_twin(c, at, in); },
            {.tolerance = 2e-5});  // sums of products of sums
      }
    }
  });
}

TEST(Routing, WeightsMatchATwinInDouble) {
  for (const bool normalised : {true, false}) {
    gradcheck(
        "route", {{9, 6}, {6}},
        [&](const std::vector<Tensor>& in) {
          return route(in[0], {.chosen = 3, .normalised = normalised}, in[1]).weights;
        },
        [&](const std::vector<Array>& in) {
          Array y = zeros({9, 3});
          for (i64 n = 0; n < 9; ++n) {
            const std::vector<i64> chosen = largest_logits(in[0], n, 3);
            const std::vector<double> weights = choice_weights(in[0], n, chosen, normalised);
            for (i64 j = 0; j < 3; ++j) {
              y[n * 3 + j] = weights[j] * in[1][chosen[j]];
            }
          }
          return y;
        });
  }
}

TEST(Routing, PairsAreInTheOrderOfExpertsAndThenOfRows) {
  // Rows 0 and 1 tie between experts 1 and 2: the lower index goes first.
  const Tensor logits = Tensor::from({0, 2, 2, 1, 3, 3, 0, 0, 5, 0, 0, 4}, {3, 4});
  const Routing r = route(logits, {.chosen = 2});
  EXPECT_EQ(r.choices.copy_out<i32>(), (std::vector<i32>{1, 2, 0, 1, 0, 3}));
  EXPECT_EQ(r.offsets.copy_out<i32>(), (std::vector<i32>{0, 2, 4, 5, 6}));
  EXPECT_EQ(r.pair.copy_out<i32>(), (std::vector<i32>{2, 4, 0, 3, 1, 5}));
  EXPECT_EQ(r.source.copy_out<i32>(), (std::vector<i32>{1, 2, 0, 1, 0, 2}));
  EXPECT_EQ(r.place.copy_out<i32>(), (std::vector<i32>{2, 4, 0, 3, 1, 5}));
}

TEST(Routing, MoreExpertsThanThereAreIsAShapeError) {
  EXPECT_EQ(error_text<ShapeError>([] {
              route(Tensor::zeros({2, 3}), {.chosen = 4});
            }),
            "route: 4 experts of logits [2, 3]");
}

// Frozen trained_matrices of some size, so that several tasks share the work.
ExpertMlp frozen_experts(i64 E, i64 C, i64 I, bool trained) {
  const auto stack = [&](i64 out, i64 in, const char* name) {
    ExpertMatrices m = {.in = in, .out = out};
    const Tensor all = Tensor::empty({E, out, in});
    fill_uniform(all.mutable_values(), RandomKey(3).with(name), -0.2F, 0.2F);
    m.trained = {all};
    if (!trained) {
      m.freeze();
    } else {
      all.set_requires_grad(true);
    }
    return m;
  };
  ExpertMlp mlp;
  mlp.experts = E;
  mlp.wide.parts = {stack(2 * I, C, "wide")};
  mlp.down.parts = {stack(C, I, "down")};
  return mlp;
}

struct ExpertPass {
  std::vector<float> y, dx, dlogits, dwide;
};

ExpertPass run_experts(const ExpertMlp& mlp, i64 N, GemmCompute compute) {
  const i64 C = mlp.wide.in();
  const auto values = [](const Shape& shape, const char* name) {
    Tensor t = Tensor::empty(shape);
    fill_uniform(t.mutable_values(), RandomKey(4).with(name), -1.0F, 1.0F);
    t.set_requires_grad(true);
    return t;
  };
  const Tensor x = values({N, C}, "x"), logits = values({N, mlp.experts}, "logits");
  const Tensor y = expert_mlp({}, x, route(logits, {.chosen = 3}), mlp, compute, {});
  backward(y, Tensor::full(y.shape(), 1.0F));
  const Tensor wide = mlp.wide.parts[0].trained.empty() ? Tensor() : mlp.wide.parts[0].trained[0];
  return {y.to_vector(), x.grad().to_vector(), logits.grad().to_vector(),
          wide.defined() ? wide.grad().to_vector() : std::vector<float>()};
}

TEST(Experts, GiveTheSameBitsAtAnyNumberOfThreads) {
  const int before = num_threads();
  for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
    std::vector<ExpertPass> passes;
    for (const int threads : {1, 2, 5}) {
      set_num_threads(threads);
      passes.push_back(run_experts(frozen_experts(9, 96, 64, true), 70, compute));
    }
    for (const ExpertPass& p : passes) {
      EXPECT_EQ(p.y, passes[0].y);
      EXPECT_EQ(p.dx, passes[0].dx);
      EXPECT_EQ(p.dlogits, passes[0].dlogits);
      EXPECT_EQ(p.dwide, passes[0].dwide);
    }
  }
  set_num_threads(before);
}

TEST(Experts, FrozenMatricesGiveTheBitsOfTrainedOnes) {
  const ExpertPass trained = run_experts(frozen_experts(9, 96, 64, true), 70, GemmCompute::kF32);
  const ExpertPass frozen = run_experts(frozen_experts(9, 96, 64, false), 70, GemmCompute::kF32);
  EXPECT_EQ(frozen.y, trained.y);
  EXPECT_EQ(frozen.dx, trained.dx);
  EXPECT_EQ(frozen.dlogits, trained.dlogits);
}

TEST(Experts, ARowGivesTheSameBitsWhateverRowsStandBesideIt) {
  const ExpertMlp mlp = frozen_experts(5, 64, 32, false);
  const std::vector<float> many = run_experts(mlp, 70, GemmCompute::kF32).y;
  const std::vector<float> few = run_experts(mlp, 3, GemmCompute::kF32).y;
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
}

TEST(Experts, SeveralBackwardPassesAddUp) {
  const ExpertMlp mlp = frozen_experts(4, 32, 16, true);
  const std::vector<float> once = run_experts(mlp, 20, GemmCompute::kF32).dwide;
  const std::vector<float> twice = run_experts(mlp, 20, GemmCompute::kF32).dwide;
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_NEAR(twice[i], 2.0F * once[i], 1e-5F);
  }
}

}  // namespace
}  // namespace inlay
