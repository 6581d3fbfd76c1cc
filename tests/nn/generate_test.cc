// SPDX-License-Identifier: Apache-2.0
#include "nn/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "nn/decoder.h"
#include "nn/sampling.h"
#include "tests/support/error_text.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

std::map<i32, double> frequencies(const std::vector<float>& logits, const SamplingOptions& options,
                                  u64 draws = 20'000) {
  std::map<i32, double> counts;
  for (u64 i = 0; i < draws; ++i) {
    counts[sample(logits, options, RandomKey(5), i)] += 1.0 / static_cast<double>(draws);
  }
  return counts;
}

// Probabilities 1/2, 1/4, 1/8, 1/8.
const std::vector<float>& halves() {
  static const std::vector<float> logits = {std::log(0.125F), std::log(0.5F), std::log(0.25F),
                                            std::log(0.125F)};
  return logits;
}

TEST(Sample, AtTemperatureZeroIsTheLikeliestLowestId) {
  EXPECT_EQ(sample(halves(), {}, RandomKey(1), 0), 1);
  EXPECT_EQ(argmax(std::vector<float>{1.0F, 3.0F, 3.0F}), 1);
}

TEST(Sample, FindsTheLikeliestWhereverItIs) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const i32 size : {1, 2, 31, 32, 33, 63, 64, 100}) {  // 32 chains of comparisons
    for (i32 i = 0; i < size; ++i) {
      std::vector<float> logits(size, -2.0F);
      logits[i] = -1.0F;
      EXPECT_EQ(argmax(logits), i) << size;
      logits.back() = i + 1 < size ? kNan : logits.back();
      EXPECT_EQ(argmax(logits), i) << size << ", with a NaN";
    }
  }
  EXPECT_EQ(argmax(std::vector<float>{kNan, 1.0F}), 0);
}

TEST(Sample, FollowsTheProbabilities) {
  // 20000 draws: a standard deviation of 0.0035 at most.
  constexpr double kFourDeviations = 0.015;
  const struct {
    SamplingOptions options;
    std::map<i32, double> expected;
  } cases[] = {
      {{.temperature = 1.0}, {{0, 0.125}, {1, 0.5}, {2, 0.25}, {3, 0.125}}},
      // At half the temperature probabilities are squared: 1 : 16 : 4 : 1, of 22.
      {{.temperature = 0.5}, {{0, 1 / 22.0}, {1, 16 / 22.0}, {2, 4 / 22.0}, {3, 1 / 22.0}}},
      {{.temperature = 1.0, .top_k = 2}, {{1, 2 / 3.0}, {2, 1 / 3.0}}},
      {{.temperature = 1.0, .top_k = 3}, {{0, 1 / 7.0}, {1, 4 / 7.0}, {2, 2 / 7.0}}},  // 0 before 3
      {{.temperature = 1.0, .top_k = 9}, {{0, 0.125}, {1, 0.5}, {2, 0.25}, {3, 0.125}}},
      {{.temperature = 1.0, .top_p = 0.7}, {{1, 2 / 3.0}, {2, 1 / 3.0}}},
      {{.temperature = 1.0, .top_p = 1e-9}, {{1, 1.0}}},  // one always stays
      // Of the two that top_k leaves, the first has 2/3.
      {{.temperature = 1.0, .top_k = 2, .top_p = 0.6}, {{1, 1.0}}},
  };
  for (const auto& c : cases) {
    const auto found = frequencies(halves(), c.options);
    for (const auto& [id, p] : found) {
      EXPECT_TRUE(c.expected.contains(id)) << id << " must not be drawn";
    }
    for (const auto& [id, p] : c.expected) {
      EXPECT_NEAR(found.contains(id) ? found.at(id) : 0.0, p, kFourDeviations) << id;
    }
  }
}

TEST(Sample, IsAFunctionOfKeyAndIndex) {
  const SamplingOptions options{.temperature = 1.0};
  std::set<i32> seen;
  for (u64 i = 0; i < 50; ++i) {
    EXPECT_EQ(sample(halves(), options, RandomKey(1), i),
              sample(halves(), options, RandomKey(1), i));
    seen.insert(sample(halves(), options, RandomKey(1), i));
  }
  EXPECT_GT(seen.size(), 1U);
}

const std::vector<std::vector<i32>>& prompts() {
  static const std::vector<std::vector<i32>> ids = {random_ids(5, 29, 1), random_ids(3, 29, 2),
                                                    random_ids(8, 29, 3)};
  return ids;
}

TEST(Generate, DrawsTheSameAloneAndInABatch) {
  const LoadedModel loaded = make_tiny(tiny_llama());
  GenerateOptions options;
  options.max_new_tokens = 20;
  options.sampling = {.temperature = 1.5, .top_k = 20};
  options.key = RandomKey(7);
  const std::vector<Generated> batch = generate(*loaded.model, prompts(), options);
  EXPECT_EQ(generate(*loaded.model, prompts(), options)[2].ids, batch[2].ids);
  const std::vector<std::vector<i32>> first = {prompts()[0]};
  EXPECT_EQ(generate(*loaded.model, first, options)[0].ids, batch[0].ids);
  // Sequences draw from keys of their own: the same prompt twice goes two ways.
  const std::vector<std::vector<i32>> twice = {prompts()[0], prompts()[0]};
  const std::vector<Generated> two = generate(*loaded.model, twice, options);
  EXPECT_EQ(two[0].ids, batch[0].ids);
  EXPECT_NE(two[1].ids, two[0].ids);
}

TEST(Generate, StopsBeforeAStopTokenAndLeavesTheOthersGoing) {
  const LoadedModel loaded = make_tiny(tiny_llama());
  GenerateOptions options;
  options.max_new_tokens = 15;
  options.sampling = {.temperature = 2.0};
  const std::vector<Generated> free = generate(*loaded.model, prompts(), options);
  options.stop_ids = {free[1].ids[4], 1000};
  const std::vector<Generated> stopped = generate(*loaded.model, prompts(), options);
  for (std::size_t s = 0; s < free.size(); ++s) {
    const auto& ids = free[s].ids;
    const auto stop = std::ranges::find(ids, options.stop_ids[0]);
    EXPECT_EQ(stopped[s].ids, std::vector<i32>(ids.begin(), stop));
    EXPECT_EQ(stopped[s].stopped, stop != ids.end());
    EXPECT_FALSE(free[s].stopped);
  }
}

TEST(Generate, TellsOfEveryTokenAndCanBeEnded) {
  const LoadedModel loaded = make_tiny(tiny_gpt2());
  GenerateOptions options;
  options.max_new_tokens = 6;
  std::vector<std::vector<i32>> heard(3);
  const std::vector<Generated> made =
      generate(*loaded.model, prompts(), options, [&](i64 sequence, i32 id) {
        heard[sequence].push_back(id);
        return !(sequence == 1 && heard[1].size() == 2);
      });
  for (std::size_t s = 0; s < made.size(); ++s) {
    EXPECT_EQ(made[s].ids, heard[s]);
    EXPECT_EQ(made[s].ids.size(), s == 1 ? 2U : 6U);
  }
}

TEST(Generate, MakesNothingWhenNothingIsAskedFor) {
  const LoadedModel loaded = make_tiny(tiny_gpt2());
  EXPECT_TRUE(generate(*loaded.model, {}, {}).empty());
  GenerateOptions options;
  options.max_new_tokens = 0;
  EXPECT_TRUE(generate(*loaded.model, prompts(), options)[0].ids.empty());
}

TEST(Generate, RefusesMoreTokensThanThereArePositions) {
  const LoadedModel loaded = make_tiny(tiny_gpt2({{"n_positions", 16}}));
  GenerateOptions options;
  options.max_new_tokens = 8;
  EXPECT_EQ(generate(*loaded.model, prompts(), options)[2].ids.size(), 8U);  // 8 + 8
  options.max_new_tokens = 9;
  EXPECT_EQ(error_text<DataError>([&] { generate(*loaded.model, prompts(), options); }),
            "the prompt and the tokens to generate are 17 tokens, and this model has positions for "
            "16");
  EXPECT_EQ(error_text<DataError>([&] { GenerationSession(*loaded.model, 17); }),
            "the prompt and the tokens to generate are 17 tokens, and this model has positions for "
            "16");
}

// Phi-3 in small: lengths above 9 have other angles.
std::unique_ptr<CausalLM> longrope_model() {
  DecoderPlan plan;
  plan.sizes = {.vocab_size = 29, .hidden_size = 16, .layers = 2, .max_positions = 64};
  plan.init_std = 0.5;
  RopeConfig rope;
  rope.type = RopeType::kLongrope;
  rope.rotary_dim = 8;
  rope.theta = 100.0;
  rope.original_max_positions = 9;
  rope.short_factor = {1.0, 1.0, 1.0, 1.0};
  rope.long_factor = {3.0, 9.0, 20.0, 40.0};
  rope.outgrown_anew = true;
  plan.ropes = {{rope, ""}};
  SelfAttentionPlan attention;
  attention.heads = 2;
  attention.kv_heads = 1;
  attention.head_dim = 8;
  attention.scale = 0.5F;
  attention.rope = 0;
  attention.init_std = attention.o_init_std = 0.5;
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp.width = 24;
  layer.mlp.init_std = layer.mlp.down_init_std = 0.5;
  layer.mlp_norms.before = "post_attention_layernorm";
  plan.layers.assign(2, layer);
  RandomWeights weights(RandomKey(3));
  return std::make_unique<DecoderModel>("phi3", plan, weights);
}

// What follows when every token is computed from all before it.
std::vector<std::vector<i32>> without_cache(const CausalLM& model,
                                            std::vector<std::vector<i32>> ids, i64 count) {
  const NoGrad guard;
  std::vector<std::vector<i32>> made(ids.size());
  for (i64 step = 0; step < count; ++step) {
    PackedTokens tokens;
    std::vector<i32> rows;
    for (const std::vector<i32>& sequence : ids) {
      tokens.append(sequence);
      rows.push_back(static_cast<i32>(tokens.size() - 1));
    }
    Pass pass;
    pass.tokens = &tokens;
    const std::vector<float> logits = model.logits(model.hidden(pass, rows), pass).to_vector();
    for (std::size_t s = 0; s < ids.size(); ++s) {
      const auto row = std::span(logits).subspan(s * 29, 29);
      const i32 id = static_cast<i32>(std::ranges::max_element(row) - row.begin());
      ids[s].push_back(id);
      made[s].push_back(id);
    }
  }
  return made;
}

TEST(Generate, ComputesAnewWhatOutgrowsItsLength) {
  const std::unique_ptr<CausalLM> model = longrope_model();
  GenerateOptions options;
  options.max_new_tokens = 8;  // the longest prompt has 8 tokens, and outgrows 9 at the second
  const std::vector<std::vector<i32>> expected = without_cache(*model, prompts(), 8);
  const std::vector<Generated> found = generate(*model, prompts(), options);
  for (std::size_t s = 0; s < expected.size(); ++s) {
    EXPECT_EQ(found[s].ids, expected[s]);
  }
}

TEST(GenerationSession, ComputesAnewWhatOutgrowsItsLength) {
  const std::unique_ptr<CausalLM> model = longrope_model();
  GenerateOptions options;
  options.max_new_tokens = 4;
  GenerationSession session(*model, 40);
  std::vector<i32> talk = random_ids(3, 29, 5);
  for (int turn = 0; turn < 3; ++turn) {  // 3 to 7, 8 to 12, and from above 9
    const std::vector<i32> reply = session.reply(talk, options).ids;
    EXPECT_EQ(reply, without_cache(*model, {talk}, 4)[0]) << turn;
    talk.insert(talk.end(), reply.begin(), reply.end());
    talk.push_back(turn);
  }
  talk.resize(4);  // and back below
  EXPECT_EQ(session.reply(talk, options).ids, without_cache(*model, {talk}, 4)[0]);
}

TEST(GenerationSession, RefusesMoreThanItHasRoomFor) {
  const LoadedModel loaded = make_tiny(tiny_llama());
  GenerationSession session(*loaded.model, 12);
  GenerateOptions options;
  options.max_new_tokens = 8;
  EXPECT_EQ(error_text<DataError>([&] { session.reply(prompts()[0], options); }),
            "the conversation is 5 tokens and the reply may take 8, more than the 12 there is room "
            "for");
  options.max_new_tokens = 7;
  EXPECT_EQ(session.reply(prompts()[0], options).ids.size(), 7U);
}

TEST(GenerationSession, ForgetsWhatTheNewConversationHasNot) {
  const LoadedModel loaded = make_tiny(tiny_llama());
  GenerateOptions options;
  options.max_new_tokens = 5;
  GenerationSession session(*loaded.model, 40);
  session.reply(prompts()[2], options);
  std::vector<i32> other = prompts()[2];
  other[4] = (other[4] + 1) % 29;  // the same beginning, then another way
  other.resize(6);
  const std::vector<std::vector<i32>> fresh = {other};
  EXPECT_EQ(session.reply(other, options).ids, generate(*loaded.model, fresh, options)[0].ids);
  EXPECT_EQ(session.reply(other, options).ids, generate(*loaded.model, fresh, options)[0].ids);
}

}  // namespace
}  // namespace inlay
