// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "finetune/evaluate.h"
#include "nn/generate.h"
#include "tests/support/golden.h"
#include "tests/support/model_passes.h"

namespace inlay {
namespace {

struct RealFile {
  const char* name;
  const char* variable;  // of the environment, with the .gguf file's path
  const char* golden;
};

/// SmolLM2-135M-Instruct (Q4_1) and Gemma 3 270M (Q4_K_M), against Transformers in f32 over the
/// dequantised weights.
class RealModel : public ::testing::TestWithParam<RealFile> {
 protected:
  void SetUp() override {
    const char* path = std::getenv(GetParam().variable);
    if (path == nullptr) {
      GTEST_SKIP() << GetParam().variable << " does not name a .gguf file of " << GetParam().name
                   << ": its logits, loss and greedy tokens were not compared with Transformers'";
    }
    loaded_ = load_model_at(path);
    expected_ = read_json(golden(GetParam().golden));
  }

  LoadedModel loaded_;
  nlohmann::json expected_;
};

TEST_P(RealModel, EncodesThePrompts) {
  for (const auto& c : expected_["cases"]) {
    EXPECT_EQ(loaded_.require_tokenizer("a test").encode(c["prompt"].get<std::string>()),
              c["ids"].get<std::vector<i32>>());
  }
}

TEST_P(RealModel, GivesTheLogitsOfTransformers) {
  // Logits up to 30 after thirty layers in f32, and five decimals in the file: 5e-5 was measured.
  constexpr double kLogits = 5e-4;
  for (const auto& c : expected_["cases"]) {
    const auto ids = c["ids"].get<std::vector<i32>>();
    for (const AttentionKind kind : {AttentionKind::kTiled, AttentionKind::kReference}) {
      const Tensor logits = logits_of(*loaded_.model, {ids}, kind);
      const auto last = logits.values().subspan((logits.dim(0) - 1) * logits.dim(1));
      const auto top_ids = c["top_ids"].get<std::vector<i32>>();
      std::vector<i32> order(last.size());
      for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = static_cast<i32>(i);
      }
      std::ranges::partial_sort(order, order.begin() + static_cast<i64>(top_ids.size()),
                                [&](i32 a, i32 b) { return last[a] > last[b]; });
      for (std::size_t i = 0; i < top_ids.size(); ++i) {
        const double expected = c["top_logits"][i].get<double>();
        EXPECT_NEAR(last[top_ids[i]], expected, kLogits) << c["prompt"];
        // The same rank too, but where two logits are as near as the bound.
        EXPECT_NEAR(last[order[i]], expected, kLogits) << c["prompt"];
      }
      for (std::size_t i = 0; i < c["first_logits"].size(); ++i) {
        EXPECT_NEAR(last[i], c["first_logits"][i].get<double>(), kLogits) << c["prompt"];
      }
      double squares = 0.0;
      for (const float l : last) {
        squares += static_cast<double>(l) * static_cast<double>(l);
      }
      // The length of all logits moves less than each of them: 2e-6 was measured.
      EXPECT_NEAR(std::sqrt(squares) / c["logits_l2"].get<double>(), 1.0, 2e-5) << c["prompt"];
    }
  }
}

TEST_P(RealModel, ChoosesTheSameTokens) {
  // Below this margin f32 sums in another order may choose the other token.
  constexpr double kCertain = 0.01;
  std::vector<std::vector<i32>> prompts;
  i64 longest = 0;
  for (const auto& c : expected_["cases"]) {
    prompts.push_back(c["ids"].get<std::vector<i32>>());
    longest = std::max(longest, static_cast<i64>(c["greedy"].size()));
  }
  GenerateOptions options;
  options.max_new_tokens = longest;
  const std::vector<Generated> made = generate(*loaded_.model, prompts, options);
  i64 compared = 0;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto& c = expected_["cases"][i];
    for (std::size_t t = 0; t < c["greedy"].size(); ++t) {
      if (c["greedy_margin"][t].get<double>() < kCertain) {
        break;
      }
      ASSERT_LT(t, made[i].ids.size());
      EXPECT_EQ(made[i].ids[t], c["greedy"][t].get<i32>()) << c["prompt"] << ", token " << t;
      ++compared;
    }
  }
  EXPECT_GT(compared, 100) << "hardly anything was compared";
}

TEST_P(RealModel, HasTheLossOfTransformersOnAText) {
  Example example;
  example.ids = expected_["text"]["ids"].get<std::vector<i32>>();
  example.labels = example.ids;
  const std::vector<Example> examples = {example};
  const LossReport report = evaluate_loss(*loaded_.model, CrossEntropy(), examples, {});
  EXPECT_EQ(report.tokens, static_cast<i64>(example.ids.size()) - 1);
  // A mean of losses whose errors are those of logits, of either sign: 1e-5 was measured.
  EXPECT_NEAR(report.loss, expected_["text"]["mean_nll"].get<double>(), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(
    , RealModel,
    ::testing::Values(RealFile{"SmolLM2", "INLAY_REAL_MODEL", "real/smollm2.json"},
                      RealFile{"Gemma3", "INLAY_REAL_GEMMA3", "real/gemma3_270m.json"}),
    [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace inlay
