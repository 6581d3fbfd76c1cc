// SPDX-License-Identifier: Apache-2.0
#include "tests/support/family_fixtures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/ops/shape.h"
#include "nn/generate.h"
#include "nn/models/families.h"
#include "tests/support/isas.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"

namespace inlay {
namespace {

// As for the models of golden_model_test.cc: sums of some hundred products in another order. A
// mechanism that is not there, or in the wrong place, moves logits by 1e-3 and more.
constexpr double kFixtureLogits = 4e-5;
constexpr double kFixtureLoss = 1e-5;
constexpr double kFixtureGradient = 3e-5;  // relative, Euclidean: 2.0e-5 was measured (Gemma 4)

// Sums with signs of a tensor's values: what is stored where all of them would be too much. Any
// difference shows in its norm or, by its share of the norm, in some of seven sums
// (tests/peers/family_fixture.py computes the same).
std::vector<double> digest(const Tensor& x) {
  constexpr u32 kOdd = 0x9E3779B1U;
  std::vector<double> sums(8, 0.0);
  const std::vector<float> values = x.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto v = static_cast<double>(values[i]);
    sums[0] += v * v;
    for (u32 j = 1; j < sums.size(); ++j) {
      const u32 hash = (static_cast<u32>(i) + 1U) * (2U * j + 1U) * kOdd;
      sums[j] += (hash >> 31U) != 0U ? -v : v;
    }
  }
  sums[0] = std::sqrt(sums[0]);
  return sums;
}

void expect_digest(const Tensor& found, const nlohmann::json& stored, const std::string& name) {
  const std::vector<double> sums = digest(found);
  const double norm = stored.at(0);
  EXPECT_NEAR(sums[0], norm, kFixtureGradient * norm) << name;
  for (std::size_t j = 1; j < sums.size(); ++j) {
    // A difference of norm d has sums of about d; three times that is rare.
    EXPECT_NEAR(sums[j], stored.at(j).get<double>(), 3.0 * kFixtureGradient * norm) << name;
  }
}

class FamilyFixture : public ::testing::TestWithParam<std::string> {
 protected:
  std::string file(const std::string& name) const {
    return family_fixtures_root() + "/" + GetParam() + "/" + name;
  }
  std::string folder() const { return family_fixtures_root() + "/" + GetParam(); }
  StoredTensors forward() const { return StoredTensors(file("golden_forward.safetensors")); }

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

  void expect_logits(const CausalLM& model, const std::string& name) const {
    const StoredTensors stored(file(name));
    Tensor expected = stored.floats("logits");
    testing::for_each_isa([&] {
      for (const AttentionKind kind : {AttentionKind::kTiled, AttentionKind::kReference}) {
        Tensor logits = logits_of(model, stored.rows("input_ids"), kind);
        if (stored.has("logit_rows")) {  // of all tokens in a row, those that are stored
          std::vector<i32> rows;
          for (const std::vector<i32>& row : stored.rows("logit_rows")) {
            rows.push_back(row.at(0));
          }
          logits = gather_rows(logits, rows);
        }
        EXPECT_LE(largest_difference(logits, expected), kFixtureLogits) << name;
      }
    });
  }

  void expect_gradients(const LossSettings& settings) const {
    const LoadedModel loaded = load_model_at(folder(), /*trainable=*/true);
    const double loss = loss_and_gradients(*loaded.model, examples(), settings);
    EXPECT_NEAR(loss, forward().floats("loss").item(), kFixtureLoss);
    if (std::filesystem::exists(file("golden_grads.safetensors"))) {
      const StoredTensors stored(file("golden_grads.safetensors"));
      expect_each_gradient(
          *loaded.model, stored.names(), [&](const std::string& name, const Tensor& found) {
            EXPECT_LE(relative_difference(found, stored.floats(name)), kFixtureGradient) << name;
          });
      return;
    }
    const nlohmann::json stored = read_json(file("gradients.json"));
    std::vector<std::string> names;
    for (const auto& [name, sums] : stored.items()) {
      names.push_back(name);
    }
    expect_each_gradient(*loaded.model, names, [&](const std::string& name, const Tensor& found) {
      expect_digest(found, stored.at(name), name);
    });
  }

 private:
  template <class Compare>
  void expect_each_gradient(CausalLM& model, const std::vector<std::string>& stored,
                            const Compare& compare) const {
    const std::set<std::string> expected(stored.begin(), stored.end());
    const Family& family = *find_family(model.family());
    std::set<std::string> seen;
    for (const NamedTensor& p : parameters(model)) {
      if (!p.value.defined() || !p.value.requires_grad()) {
        continue;
      }
      std::string name = p.name;  // as stored
      for (const std::string& other : other_names(family, p.name)) {
        name = expected.contains(name) ? name : other;
      }
      ASSERT_TRUE(expected.contains(name)) << p.name;
      ASSERT_TRUE(p.value.grad().defined()) << p.name;
      compare(name, p.value.grad());
      seen.insert(name);
    }
    EXPECT_EQ(seen.size(), expected.size()) << "some stored gradient has no parameter";
  }
};

TEST_P(FamilyFixture, GivesTheLogitsOfTransformers) {
  const LoadedModel loaded = load_model_at(folder());
  expect_logits(*loaded.model, "golden_forward.safetensors");
  for (const char* more : {"golden_forward_short.safetensors", "golden_forward_long.safetensors"}) {
    if (std::filesystem::exists(file(more))) {
      expect_logits(*loaded.model, more);
    }
  }
}

TEST_P(FamilyFixture, GivesTheGradientOfEveryParameter) {
  testing::for_each_isa([&] { expect_gradients({}); });
  expect_gradients({.attention = AttentionKind::kReference});
}

TEST_P(FamilyFixture, GivesTheSameGradientsWithLessKept) {
  expect_gradients({.recompute = Recompute::kSelective});
  expect_gradients({.recompute = Recompute::kBlock});
}

TEST_P(FamilyFixture, ContinuesAPromptAsTransformersDoes) {
  if (!std::filesystem::exists(file("greedy.json"))) {
    GTEST_SKIP() << "no tokens are stored";
  }
  const nlohmann::json expected = read_json(file("greedy.json"));
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
  }
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FamilyFixture);
INSTANTIATE_TEST_SUITE_P(, FamilyFixture, ::testing::ValuesIn(family_fixtures()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace inlay
