// SPDX-License-Identifier: Apache-2.0

// Operations whose values may be bf16: they give what f32 would, rounded at the end.

#include <gtest/gtest.h>

#include "core/ops/elementwise.h"
#include "core/ops/projection.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

Tensor random(const Shape& shape, const char* name) {
  Tensor t = Tensor::empty(shape);
  fill_normal(t.mutable_values(), RandomKey(9).with(name), 0.0F, 1.0F);
  return t;
}

Tensor random_bf16(const Shape& shape, const char* name) {
  return random(shape, name).to(DType::kBf16);
}

Tensor wide(const Tensor& t) {
  return t.to(DType::kF32);
}

void expect_rounded(const Tensor& narrow, const Tensor& exact) {
  ASSERT_EQ(narrow.dtype(), DType::kBf16);
  EXPECT_EQ(wide(narrow).to_vector(), wide(exact.to(DType::kBf16)).to_vector());
}

TEST(OpsOfBf16, GatedRoundsTheF32Result) {
  for_each_isa([] {
    for (const i64 n : {1, 7, 16, 33, 200}) {
      for (const auto kind : {kernels::Activation::kSilu, kernels::Activation::kGelu,
                              kernels::Activation::kGeluTanh}) {
        const Tensor gate = random_bf16({3, n}, "gate"), up = random_bf16({3, n}, "up");
        const Tensor dy = random_bf16({3, n}, "dy");
        const Tensor gate32 = wide(gate), up32 = wide(up);
        for (const Tensor& t : {gate, up, gate32, up32}) {
          t.set_requires_grad(true);
        }
        const Tensor y = gated(kind, gate, up), y32 = gated(kind, gate32, up32);
        expect_rounded(y, y32);
        backward(y, dy);
        backward(y32, wide(dy));
        expect_rounded(gate.grad(), gate32.grad());
        expect_rounded(up.grad(), up32.grad());
        const Tensor both = random_bf16({3, 2 * n}, "both"), both32 = wide(both);
        both.set_requires_grad(true);
        both32.set_requires_grad(true);
        const Tensor z = gated_rows(kind, both), z32 = gated_rows(kind, both32);
        expect_rounded(z, z32);
        backward(z, dy);
        backward(z32, wide(dy));
        expect_rounded(both.grad(), both32.grad());
      }
    }
  });
}

// A scalar from which these gradients come.
Tensor with_gradients(const std::vector<Tensor>& ys, const Tensor& d0, const Tensor& d1) {
  return record("with_gradients", Tensor::full({1}, 0.0F), {ys[0], ys[1]},
                [d0, d1](const Tensor& /*dy*/, Wants /*wants*/) -> Grads {
                  return {d0, d1};
                });
}

// Two layers with adapters over one x, from bf16 to bf16, against the same from f32 to f32.
TEST(OpsOfBf16, ProjectRoundsTheF32Results) {
  if (!kernels::has_bf16_operands(GemmCompute::kBf16)) {
    GTEST_SKIP() << "this processor has no products of bf16";
  }
  constexpr i64 kIn = 96, kRank = 4;
  for (const i64 rows : {5, 64, 300}) {
    const Tensor x = random_bf16({rows, kIn}, "x"), x32 = wide(x);
    std::vector<Projection> parts, parts32;
    for (const i64 out : {50, 128}) {
      Projection p;
      p.weight = FrozenMatrix(random_bf16({out, kIn}, "w"));
      for (std::vector<Projection>* list : {&parts, &parts32}) {
        p.updates = {{random({kRank, kIn}, "a"), random({out, kRank}, "b"), 0.5F}};
        p.bias = random({out}, "bias");
        for (const Tensor& t : {p.updates[0].a, p.updates[0].b, p.bias}) {
          t.set_requires_grad(true);
        }
        list->push_back(p);
      }
    }
    x.set_requires_grad(true);
    x32.set_requires_grad(true);
    const auto ys = project(x, parts, GemmCompute::kBf16, DType::kBf16);
    const auto ys32 = project(x32, parts32, GemmCompute::kBf16);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      expect_rounded(ys[i], ys32[i]);
    }
    const Tensor d0 = random_bf16(ys[0].shape(), "d0"), d1 = random_bf16(ys[1].shape(), "d1");
    backward(with_gradients(ys, d0, d1));
    backward(with_gradients(ys32, wide(d0), wide(d1)));
    expect_rounded(x.grad(), x32.grad());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      EXPECT_EQ(parts[i].bias.grad().to_vector(), parts32[i].bias.grad().to_vector());
      const LowRankUpdate &update = parts[i].updates[0], &update32 = parts32[i].updates[0];
      EXPECT_EQ(update.a.grad().to_vector(), update32.a.grad().to_vector());
      EXPECT_EQ(update.b.grad().to_vector(), update32.b.grad().to_vector());
    }
  }
}

}  // namespace
}  // namespace inlay
