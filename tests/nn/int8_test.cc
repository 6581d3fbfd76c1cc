// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "nn/mixers/self_attention.h"
#include "nn/weights.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"

// What a pass in 8 bits leaves to bf16.
namespace inlay {
namespace {

Tensor random_values(const Shape& shape, u64 seed) {
  Tensor t = Tensor::empty(shape);
  fill_uniform(t.mutable_values(), RandomKey(seed), -1.0F, 1.0F);
  return t;
}

bool same_values(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.values(), b.values());
}

class Int8Pass : public ::testing::Test {
 protected:
  Int8Pass() { tokens_.append(random_ids(20, 29, 1)); }

  Pass pass_in(GemmCompute compute) const {
    Pass pass;
    pass.tokens = &tokens_;
    pass.compute = compute;
    return pass;
  }

  PackedTokens tokens_;
};

TEST_F(Int8Pass, QuantisesTheLayersAndNotTheHead) {
  const NoGrad guard;
  for (const bool tied : {false, true}) {
    const LoadedModel loaded = make_tiny(tiny_llama({{"tie_word_embeddings", tied}}));
    const CausalLM& model = *loaded.model;
    const Pass int8 = pass_in(GemmCompute::kInt8);
    const Pass bf16 = pass_in(GemmCompute::kBf16);
    const Tensor h = model.hidden(bf16);
    EXPECT_FALSE(same_values(model.hidden(int8), h));
    EXPECT_TRUE(same_values(model.logits(h, int8), model.logits(h, bf16)));
  }
}

TEST_F(Int8Pass, AttendsInBf16) {
  const NoGrad guard;
  SelfAttentionPlan plan;
  plan.heads = 2;
  plan.kv_heads = 1;
  plan.head_dim = 16;
  plan.scale = 0.25F;
  RandomWeights weights{RandomKey(1)};
  const SelfAttention layer(plan, 0, "self_attn", 32, nullptr, weights);
  const Tensor q = random_values({20, 32}, 1);
  const Tensor k = random_values({20, 16}, 2);
  const Tensor v = random_values({20, 16}, 3);
  const auto attended = [&](GemmCompute compute) {
    return layer.attend(q, k, v, pass_in(compute));
  };
  EXPECT_TRUE(same_values(attended(GemmCompute::kInt8), attended(GemmCompute::kBf16)));
  EXPECT_FALSE(same_values(attended(GemmCompute::kInt8), attended(GemmCompute::kF32)));
}

}  // namespace
}  // namespace inlay
