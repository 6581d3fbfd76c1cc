// SPDX-License-Identifier: Apache-2.0

// A feed-forward block as one operation, against the operations it stands for.

#include "core/ops/mlp.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/memory/memory.h"
#include "core/ops/elementwise.h"
#include "tests/support/error_text.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

constexpr i64 kModel = 48, kHidden = 112, kResult = 40;

Tensor uniform(const Shape& shape, const std::string& name, bool trained) {
  Tensor t = Tensor::empty(shape);
  fill_uniform(t.mutable_values(), RandomKey(5).with(name), -1.0F, 1.0F);
  t.set_requires_grad(trained);
  return t;
}

struct Trained {
  bool x = true, first = true, up = true, down = true;
};

// What the updates of all parts have beside their factors.
struct Adapters {
  float dropout = 0.0F;
  bool scaled = false;
  // Those whose inputs are scaled: all of them, or the last.
  bool inputs_scaled = false, down_input_scaled = false;
  bool biased = true;  // without biases the gate scales what it reads
};

Projection projection(const std::string& name, i64 in, i64 out, i64 rank, bool trained,
                      const Adapters& adapters = {}) {
  Projection p;
  p.weight = FrozenMatrix(uniform({out, in}, name + ".w", false));
  if (adapters.biased) {
    p.bias = uniform({out}, name + ".bias", trained);
  }
  if (rank > 0) {
    p.updates.push_back({uniform({rank, in}, name + ".a", trained),
                         uniform({out, rank}, name + ".b", trained), 0.5F, adapters.dropout,
                         RandomKey(6).with(name)});
  }
  if (adapters.scaled) {
    p.output_scale = uniform({out}, name + ".scale", trained);
  }
  if (adapters.inputs_scaled || (adapters.down_input_scaled && name == "down")) {
    p.input_scale = uniform({in}, name + ".input_scale", trained);
  }
  return p;
}

// Gate and up in one product.
MlpProjections fused_parts(const Trained& trained, const Adapters& adapters = {}) {
  MlpProjections parts;
  parts.fused = true;
  parts.first = projection("first", kModel, 2 * kHidden, 4, trained.first, adapters);
  parts.down = projection("down", kHidden, kResult, 5, trained.down, adapters);
  return parts;
}

MlpProjections parts_of(bool gated, const Trained& trained, const Adapters& adapters = {}) {
  MlpProjections parts;
  parts.activation = gated ? kernels::Activation::kSilu : kernels::Activation::kGeluTanh;
  parts.first = projection("first", kModel, kHidden, 4, trained.first, adapters);
  if (gated) {
    parts.up = projection("up", kModel, kHidden, 3, trained.up, adapters);
  }
  parts.down = projection("down", kHidden, kResult, 5, trained.down, adapters);
  return parts;
}

// One operation after the other.
Tensor composed(const Tensor& residual, const Tensor& x, const MlpProjections& parts,
                GemmCompute compute, DType wide, Keep keep = Keep::kExact) {
  std::vector<Projection> first = {parts.first};
  if (parts.up) {
    first.push_back(*parts.up);
  }
  const std::vector<Tensor> values = project(x, first, compute, wide, keep);
  const Tensor h = parts.up      ? gated(parts.activation, values[0], values[1], keep)
                   : parts.fused ? gated_rows(parts.activation, values[0], keep)
                                 : activation(parts.activation, values[0], keep);
  return residual.defined() ? project_onto(residual, h, parts.down, compute, keep)
                            : project(h, {&parts.down, 1}, compute, DType::kF32, keep)[0];
}

Keep wide_keep(bool recompute) {
  return recompute ? Keep::kRecipe : Keep::kExact;
}

// The result and the gradients of all that is trained.
std::vector<std::vector<float>> all_results(
    i64 rows, const MlpProjections& parts, const Trained& trained, bool onto,
    const std::function<Tensor(const Tensor& residual, const Tensor& x, const MlpProjections&)>&
        f) {
  const Tensor x = uniform({rows, kModel}, "x", trained.x);
  const Tensor residual = onto ? uniform({rows, kResult}, "residual", trained.x) : Tensor();
  const Tensor y = f(residual, x, parts);
  std::vector<std::vector<float>> out = {y.to_vector()};
  if (y.requires_grad()) {
    backward(y, uniform(y.shape(), "dy", false));
  }
  for (const Tensor& t : {x, residual}) {
    if (t.defined() && t.requires_grad()) {
      out.push_back(t.grad().to_vector());
    }
  }
  for (const Projection& p : {parts.first, parts.up.value_or(Projection()), parts.down}) {
    std::vector<Tensor> tensors = {p.bias, p.output_scale, p.input_scale};
    for (const LowRankUpdate& update : p.updates) {
      tensors.insert(tensors.end(), {update.a, update.b});
    }
    for (const Tensor& t : tensors) {
      if (t.defined() && t.requires_grad()) {
        out.push_back(t.grad().to_vector());
      }
    }
  }
  return out;
}

std::vector<std::vector<float>> all_results(
    i64 rows, bool gated, const Trained& trained, bool onto,
    const std::function<Tensor(const Tensor& residual, const Tensor& x, const MlpProjections&)>& f,
    const Adapters& adapters = {}) {
  return all_results(rows, parts_of(gated, trained, adapters), trained, onto, f);
}

TEST(MlpOp, OfGateAndUpInOneHasTheBitsOfItsParts) {
  const Trained trainings[] = {{}, {false}, {false, false, false}, {.down = false}};
  const Adapters plain, both{0.1F, true},
      unbiased{.dropout = 0.1F, .scaled = true, .biased = false};
  for_each_isa([&] {
    for (const auto compute : {GemmCompute::kF32, GemmCompute::kBf16, GemmCompute::kInt8}) {
      const DType wide = kernels::has_bf16_operands(compute) ? DType::kBf16 : DType::kF32;
      for (const Trained& trained : trainings) {
        for (const Adapters& adapters : {plain, both, unbiased}) {
          for (const i64 rows : {1, 130}) {
            const auto expected = all_results(rows, fused_parts(trained, adapters), trained, true,
                                              [&](const Tensor& r, const Tensor& x, const auto& p) {
                                                return composed(r, x, p, compute, wide);
                                              });
            for (const bool recompute : {false, true}) {
              EXPECT_EQ(all_results(rows, fused_parts(trained, adapters), trained, true,
                                    [&](const Tensor& r, const Tensor& x, const auto& p) {
                                      return project_mlp(r, x, p, compute, wide,
                                                         {.wide = wide_keep(recompute)});
                                    }),
                        expected)
                  << "rows " << rows << " recompute " << recompute;
            }
          }
        }
      }
    }
  });
}

// The rows of two weights, one below the other, make what the two make.
TEST(MlpOp, OfGateAndUpInOneHasTheValuesOfTheTwo) {
  const auto apart = parts_of(true, {.x = true, .first = false, .up = false, .down = false});
  MlpProjections together = apart;
  together.fused = true;
  together.up.reset();
  together.first.updates.clear();
  const Tensor weight = Tensor::empty({2 * kHidden, kModel}), bias = Tensor::empty({2 * kHidden});
  weight.slice(0, 0, kHidden).copy_from(apart.first.weight.dense());
  weight.slice(0, kHidden, 2 * kHidden).copy_from(apart.up->weight.dense());
  bias.slice(0, 0, kHidden).copy_from(apart.first.bias);
  bias.slice(0, kHidden, 2 * kHidden).copy_from(apart.up->bias);
  together.first.weight = FrozenMatrix(weight);
  together.first.bias = bias;
  MlpProjections two = apart;
  two.first.updates.clear();
  two.up->updates.clear();
  const auto results = [](const MlpProjections& parts) {
    return all_results(33, parts, {.x = true, .first = false, .up = false, .down = false}, false,
                       [](const Tensor& r, const Tensor& x, const auto& p) {
                         return project_mlp(r, x, p, GemmCompute::kF32);
                       });
  };
  const auto expected = results(two), got = results(together);
  ASSERT_EQ(got.size(), expected.size());
  EXPECT_EQ(got[0], expected[0]);
  // dx is one sum of 224 products here, and there the sum of two.
  for (std::size_t i = 0; i < got[1].size(); ++i) {
    EXPECT_NEAR(got[1][i], expected[1][i], 1e-4 * std::max(1.0F, std::abs(expected[1][i])));
  }
}

TEST(MlpOp, HasTheBitsOfItsParts) {
  const Trained trainings[] = {
      {}, {false}, {false, false, false}, {.down = false}, {.first = false}};
  for_each_isa([&] {
    for (const auto compute : {GemmCompute::kF32, GemmCompute::kBf16, GemmCompute::kInt8}) {
      for (const bool gated : {true, false}) {
        const DType wide =
            gated && kernels::has_bf16_operands(compute) ? DType::kBf16 : DType::kF32;
        for (const Trained& trained : trainings) {
          for (const i64 rows : {1, 33, 300}) {
            const auto expected = all_results(rows, gated, trained, gated,
                                              [&](const Tensor& r, const Tensor& x, const auto& p) {
                                                return composed(r, x, p, compute, wide);
                                              });
            for (const bool recompute : {false, true}) {
              EXPECT_EQ(all_results(rows, gated, trained, gated,
                                    [&](const Tensor& r, const Tensor& x, const auto& p) {
                                      return project_mlp(r, x, p, compute, wide,
                                                         {.wide = wide_keep(recompute)});
                                    }),
                        expected)
                  << "rows " << rows << " gated " << gated << " recompute " << recompute;
            }
          }
        }
      }
    }
  });
}

TEST(MlpOp, HasTheBitsOfItsPartsWithDropoutAndScales) {
  const Trained trainings[] = {{}, {false}, {false, false, false}, {.down = false}};
  for_each_isa([&] {
    for (const Adapters& adapters : {Adapters{0.1F, false},
                                     {0.0F, true},
                                     {0.1F, true},
                                     {.dropout = 0.1F, .scaled = true, .biased = false}}) {
      for (const Trained& trained : trainings) {
        for (const bool gated : {true, false}) {
          const auto composed_results = all_results(
              130, gated, trained, gated,
              [](const Tensor& r, const Tensor& x, const auto& p) {
                return composed(r, x, p, GemmCompute::kF32, DType::kF32);
              },
              adapters);
          for (const bool recompute : {false, true}) {
            EXPECT_EQ(all_results(
                          130, gated, trained, gated,
                          [&](const Tensor& r, const Tensor& x, const auto& p) {
                            return project_mlp(r, x, p, GemmCompute::kF32, DType::kF32,
                                               {.wide = wide_keep(recompute)});
                          },
                          adapters),
                      composed_results)
                << "dropout " << adapters.dropout << " scaled " << adapters.scaled << " biased "
                << adapters.biased << " gated " << gated << " recompute " << recompute;
          }
        }
      }
    }
  });
}

double distance(const std::vector<float>& from, const std::vector<float>& to) {
  double apart = 0.0, size = 1e-30;
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto value = static_cast<double>(to[i]);
    const double difference = static_cast<double>(from[i]) - value;
    apart += difference * difference;
    size += value * value;
  }
  return std::sqrt(apart / size);
}

// Of a gated block the last product's input is scaled by scaling up's outputs, which rounds
// elsewhere; all others are the parts one after the other.
TEST(MlpOp, HasTheValuesOfItsPartsWithScaledInputs) {
  const Trained trainings[] = {{}, {false}, {false, false, false}, {.down = false}};
  for (const Adapters& adapters : {Adapters{0.1F, false, true},
                                   {0.0F, false, false, true},
                                   {0.0F, false, false, true, false},
                                   {0.1F, true, false, true},
                                   {0.1F, true, false, true, false}}) {
    for (const Trained& trained : trainings) {
      for (const bool gated : {true, false}) {
        const auto apart = all_results(
            130, gated, trained, gated,
            [](const Tensor& r, const Tensor& x, const auto& p) {
              return composed(r, x, p, GemmCompute::kF32, DType::kF32);
            },
            adapters);
        for (const bool recompute : {false, true}) {
          const auto together = all_results(
              130, gated, trained, gated,
              [&](const Tensor& r, const Tensor& x, const auto& p) {
                return project_mlp(r, x, p, GemmCompute::kF32, DType::kF32,
                                   {.wide = wide_keep(recompute)});
              },
              adapters);
          ASSERT_EQ(together.size(), apart.size());
          for (std::size_t i = 0; i < apart.size(); ++i) {
            // Some three roundings more in sums of a hundred products.
            EXPECT_LE(distance(together[i], apart[i]), gated ? 1e-6 : 0.0)
                << "result " << i << " gated " << gated << " recompute " << recompute;
          }
        }
      }
    }
  }
}

// On every processor, whether it has instructions for bf16 or not.
TEST(MlpOp, InBf16IsNearThatInF32WithDropoutAndScales) {
  for (const kernels::Isa isa : testing::all_supported_isas()) {
    const testing::IsaScope scope(isa);
    for (const bool fused : {true, false}) {
      for (const bool biased : {true, false}) {
        const Adapters adapters = {.dropout = 0.1F, .scaled = true, .biased = biased};
        const auto in = [&](GemmCompute compute) {
          const DType wide = kernels::has_bf16_operands(compute) ? DType::kBf16 : DType::kF32;
          const MlpProjections all =
              fused ? fused_parts({}, adapters) : parts_of(true, {}, adapters);
          return all_results(200, all, {}, true,
                             [&](const Tensor& r, const Tensor& x, const auto& p) {
                               return project_mlp(r, x, p, compute, wide);
                             });
        };
        const auto expected = in(GemmCompute::kF32), got = in(GemmCompute::kBf16);
        ASSERT_EQ(got.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          // Some ten roundings to 8 bits on the way to each value.
          EXPECT_LE(distance(got[i], expected[i]), 0.02)
              << kernels::isa_name(isa) << " result " << i << " fused " << fused << " biased "
              << biased;
        }
      }
    }
  }
}

TEST(MlpOp, HasTheBitsOfItsPartsWhenValuesAreKeptRounded) {
  for (const bool gated : {true, false}) {
    constexpr Keep kKeep = Keep::kRounded;
    EXPECT_EQ(
        all_results(33, gated, {}, gated,
                    [&](const Tensor& r, const Tensor& x, const auto& p) {
                      return project_mlp(r, x, p, GemmCompute::kF32, DType::kF32, {kKeep, kKeep});
                    }),
        all_results(33, gated, {}, gated, [&](const Tensor& r, const Tensor& x, const auto& p) {
          return composed(r, x, p, GemmCompute::kF32, DType::kF32, kKeep);
        }));
  }
}

// y = r + down(silu(gate(x)) * up(x)), each with a bias and a plain weight.
TEST(MlpOp, MatchesItsTwinAndItsCentralDifferences) {
  constexpr i64 kSmall = 9, kMiddle = 17;
  const Tensor gate = uniform({kMiddle, kSmall}, "gate", false);
  const Tensor up = uniform({kMiddle, kSmall}, "up", false);
  const Tensor down = uniform({kSmall, kMiddle}, "down", false);
  const auto at = [](const Tensor& w, i64 i) { return double{w.data<const float>()[i]}; };
  gradcheck(
      "project_mlp", {{3, kSmall}, {3, kSmall}, {kMiddle}, {kMiddle}, {kSmall}},
      [&](const std::vector<Tensor>& t) {
        MlpProjections parts;
        parts.first.weight = FrozenMatrix(gate);
        parts.first.bias = t[2];
        parts.up.emplace();
        parts.up->weight = FrozenMatrix(up);
        parts.up->bias = t[3];
        parts.down.weight = FrozenMatrix(down);
        parts.down.bias = t[4];
        return project_mlp(t[0], t[1], parts, GemmCompute::kF32);
      },
      [&](const std::vector<Array>& a) {
        Array y = a[0];
        for (i64 r = 0; r < 3; ++r) {
          for (i64 w = 0; w < kMiddle; ++w) {
            double g = a[2][w];
            double u = a[3][w];
            for (i64 i = 0; i < kSmall; ++i) {
              g += at(gate, w * kSmall + i) * a[1][r * kSmall + i];
              u += at(up, w * kSmall + i) * a[1][r * kSmall + i];
            }
            for (i64 o = 0; o < kSmall; ++o) {
              y[r * kSmall + o] += at(down, o * kMiddle + w) * g / (1.0 + std::exp(-g)) * u;
            }
          }
          for (i64 o = 0; o < kSmall; ++o) {
            y[r * kSmall + o] += a[4][o];
          }
        }
        return y;
      },
      // Sums of some hundred products.
      {.tolerance = 2e-5});
}

// Bytes that backward takes beside what the forward pass kept.
i64 backward_bytes(const std::function<Tensor(const Tensor& x, const MlpProjections&)>& f,
                   i64 rows) {
  const MlpProjections parts = parts_of(true, {});
  const Tensor x = uniform({rows, kModel}, "x", true);
  const Tensor y = f(x, parts);
  const i64 kept = current_memory().total();
  reset_peak_memory();
  backward(y, Tensor::full(y.shape(), 1.0F));
  return peak_memory().total() - kept;
}

// Backward goes through the widest values in place: dh becomes h, gate and up their gradients. One
// after the other, the operations take dh, dgate and dup.
TEST(MlpOp, BackwardTakesOneWideTensorMore) {
  constexpr i64 kRows = 65536;
  constexpr i64 kWideBytes = kRows * kHidden * 4;
  const i64 together = backward_bytes(
      [](const Tensor& x, const MlpProjections& parts) {
        return project_mlp({}, x, parts, GemmCompute::kF32);
      },
      kRows);
  const i64 apart = backward_bytes(
      [](const Tensor& x, const MlpProjections& parts) {
        return composed({}, x, parts, GemmCompute::kF32, DType::kF32);
      },
      kRows);
  // Beside it are dy and u, 45 values a row where a wide one has 112, and scratch.
  EXPECT_LE(together, kWideBytes * 3 / 2);
  EXPECT_GE(apart, kWideBytes * 5 / 2);
}

TEST(MlpOp, NamesWidthsThatDiffer) {
  MlpProjections parts = parts_of(true, {});
  parts.up = projection("up", kModel, kHidden + 1, 0, false);
  const Tensor x = uniform({2, kModel}, "x", false);
  EXPECT_EQ(error_text<ShapeError>([&] { project_mlp({}, x, parts, GemmCompute::kF32); }),
            "project_mlp: the gate has 112 values a row, up has 113");
  parts.fused = true;
  EXPECT_EQ(error_text<ShapeError>([&] { project_mlp({}, x, parts, GemmCompute::kF32); }),
            "project_mlp: expected a gate and up in one, found 112 values a row and an up beside "
            "them");
}

}  // namespace
}  // namespace inlay
