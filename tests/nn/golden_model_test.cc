// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "nn/generate.h"
#include "tests/support/golden.h"
#include "tests/support/isas.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"

namespace inlay {
namespace {

// Logits of size 10 and gradients are sums of some hundred products, in another order than
// PyTorch's: at most 7e-6, 1e-6 and 1.4e-6 were measured. A wrong constant anywhere (an epsilon, a
// rope frequency) shows at 1e-4.
constexpr double kLogits = 4e-5;
constexpr double kLoss = 5e-6;
constexpr double kGradient = 1e-5;  // relative, Euclidean

class GoldenModel : public ::testing::TestWithParam<const char*> {
 protected:
  std::string folder() const { return golden(std::string("models/") + GetParam()); }
  StoredTensors forward() const { return StoredTensors(folder() + "/golden_forward.safetensors"); }

  std::vector<Example> examples() const {
    const StoredTensors stored = forward();
    const auto ids = stored.rows("input_ids");
    const auto labels = stored.rows("labels");
    std::vector<Example> out;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      out.push_back({ids[i], labels[i]});
    }
    return out;
  }

  void expect_gradients(const LossSettings& settings) const {
    const LoadedModel loaded = load_model_at(folder(), /*trainable=*/true);
    const double loss = loss_and_gradients(*loaded.model, examples(), settings);
    EXPECT_NEAR(loss, forward().floats("loss").item(), kLoss);
    const StoredTensors stored(folder() + "/golden_grads.safetensors");
    std::set<std::string> seen;
    for (const NamedTensor& p : parameters(*loaded.model)) {
      if (!p.value.defined()) {
        continue;
      }
      ASSERT_TRUE(stored.has(p.name)) << p.name;
      ASSERT_TRUE(p.value.grad().defined()) << p.name;
      EXPECT_LE(relative_difference(p.value.grad(), stored.floats(p.name)), kGradient) << p.name;
      seen.insert(p.name);
    }
    EXPECT_EQ(seen.size(), stored.names().size()) << "some stored gradient has no parameter";
  }
};

TEST_P(GoldenModel, GivesTheLogitsOfTransformers) {
  const LoadedModel loaded = load_model_at(folder());
  const StoredTensors stored = forward();
  EXPECT_TRUE(loaded.notices.empty()) << loaded.notices.front();
  testing::for_each_isa([&] {
    for (const AttentionKind kind : {AttentionKind::kTiled, AttentionKind::kReference}) {
      EXPECT_LE(largest_difference(logits_of(*loaded.model, stored.rows("input_ids"), kind),
                                   stored.floats("logits")),
                kLogits);
    }
  });
}

TEST_P(GoldenModel, GivesTheGradientOfEveryParameter) {
  testing::for_each_isa([&] { expect_gradients({}); });
}

TEST_P(GoldenModel, GivesTheSameGradientsByReferenceAttention) {
  expect_gradients({.attention = AttentionKind::kReference});
}

TEST_P(GoldenModel, GivesTheSameGradientsWithBlocksRecomputed) {
  expect_gradients({.recompute = Recompute::kBlock});
}

// Recomputing repeats the very same operations, so not one bit may change.
TEST_P(GoldenModel, RecomputingBlocksChangesNoBitOfTheGradients) {
  const LoadedModel kept = load_model_at(folder(), /*trainable=*/true);
  const LoadedModel recomputed = load_model_at(folder(), /*trainable=*/true);
  EXPECT_EQ(loss_and_gradients(*kept.model, examples()),
            loss_and_gradients(*recomputed.model, examples(), {.recompute = Recompute::kBlock}));
  const std::vector<NamedTensor> expected = parameters(*kept.model);
  const std::vector<NamedTensor> found = parameters(*recomputed.model);
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (expected[i].value.defined()) {
      EXPECT_EQ(found[i].value.grad().to_vector(), expected[i].value.grad().to_vector())
          << found[i].name;
    }
  }
}

TEST_P(GoldenModel, ContinuesAPromptAsTransformersDoes) {
  const nlohmann::json expected = read_json(golden("models/greedy.json"))[GetParam()];
  const auto prompt = expected["prompt"].get<std::vector<i32>>();
  const auto tokens = expected["tokens"].get<std::vector<i32>>();
  const LoadedModel loaded = load_model_at(folder());
  GenerateOptions options;
  options.max_new_tokens = static_cast<i64>(tokens.size() - prompt.size());
  // The prompt twice, with another between: sequences of a batch do not touch each other.
  const std::vector<std::vector<i32>> prompts = {prompt, {1, 2, 3}, prompt};
  const std::vector<Generated> made = generate(*loaded.model, prompts, options);
  for (const std::size_t s : {0, 2}) {
    std::vector<i32> whole = prompt;
    whole.insert(whole.end(), made[s].ids.begin(), made[s].ids.end());
    EXPECT_EQ(whole, tokens);
    EXPECT_FALSE(made[s].stopped);
  }
}

INSTANTIATE_TEST_SUITE_P(, GoldenModel,
                         ::testing::Values("gpt2", "llama_tied", "llama_untied_bias_headdim",
                                           "llama_rope_linear", "llama_rope_llama3",
                                           "llama_rope_yarn"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace inlay
