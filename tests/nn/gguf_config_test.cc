// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gguf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "tests/support/error_text.h"
#include "tests/support/golden.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

// A file with the metadata of a small Llama, `more` on top, and the tensors that its settings are
// read from.
GgufFile small_llama(const GgufMetadata& more = {},
                     const std::vector<std::pair<std::string, std::vector<float>>>& vectors = {}) {
  GgufMetadata keys = {
      {"general.architecture", std::string("llama")},   {"llama.embedding_length", u32{32}},
      {"llama.feed_forward_length", u32{64}},           {"llama.block_count", u32{1}},
      {"llama.attention.head_count", u32{2}},           {"llama.context_length", u32{128}},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5F}};
  for (const auto& [key, value] : more) {
    const auto same = [&](const auto& entry) { return entry.first == key; };
    std::erase_if(keys, same);
    keys.emplace_back(key, value);
  }
  const std::vector<float> table(64 * 32);
  std::vector<GgufTensorToWrite> tensors = {
      {"token_embd.weight", {64, 32}, 0, std::as_bytes(std::span(table))}};
  for (const auto& [name, values] : vectors) {
    tensors.push_back(
        {name, {static_cast<i64>(values.size())}, 0, std::as_bytes(std::span(values))});
  }
  const TempDirectory temp;
  write_gguf(temp.file("m.gguf"), keys, tensors);
  return GgufFile(temp.file("m.gguf"));
}

GgufValue value_of(const nlohmann::json& json) {
  if (json.is_string()) {
    return json.get<std::string>();
  }
  if (json.is_number_integer()) {
    return json.get<u32>();
  }
  return json.get<float>();
}

TEST(GgufRope, IsStretchedAsLlamaCppDoes) {
  for (const nlohmann::json& c : read_json(golden("models/rope_gguf.json"))) {
    const std::string name = c["name"];
    GgufMetadata keys;
    for (const auto& [key, value] : c["metadata"].items()) {
      keys.emplace_back("llama." + key, value_of(value));
    }
    const DecoderPlan plan = plan_of(gguf_config(small_llama(keys)));
    const RopeFrequencies found = rope_frequencies(plan.ropes[0].config);
    ASSERT_EQ(found.frequency.size(), c["frequency"].size()) << name;
    for (std::size_t k = 0; k < found.frequency.size(); ++k) {
      // The file's factors are floats.
      EXPECT_NEAR(found.frequency[k] / c["frequency"][k].get<double>(), 1.0, 1e-6) << name << k;
    }
    EXPECT_NEAR(found.attention_factor, c["attention_factor"].get<double>(), 1e-6) << name;
  }
}

TEST(GgufRope, TakesTheDivisorsOfLongropeFromTheirTensors) {
  const std::vector<float> short_factor = {1, 1, 1, 1, 2, 2, 2, 2};
  const std::vector<float> long_factor = {1, 2, 3, 4, 5, 6, 7, 8};
  const DecoderPlan plan = plan_of(gguf_config(small_llama(
      {{"llama.rope.scaling.type", std::string("longrope")},
       {"llama.rope.scaling.original_context_length", u32{32}},
       {"llama.rope.scaling.attn_factor", 1.25F}},
      {{"rope_factors_short.weight", short_factor}, {"rope_factors_long.weight", long_factor}})));
  const std::vector<double> plain = rope_frequencies({.rotary_dim = 16}).frequency;
  for (const i64 length : {32, 33}) {
    const RopeFrequencies found = rope_frequencies(plan.ropes[0].config, length);
    EXPECT_EQ(found.attention_factor, 1.25);
    for (std::size_t k = 0; k < plain.size(); ++k) {
      EXPECT_DOUBLE_EQ(
          found.frequency[k],
          plain[k] / static_cast<double>((length > 32 ? long_factor : short_factor)[k]));
    }
  }
}

// rope_parameters of a file, as a family with these rules reads it.
nlohmann::json rope_of(const GgufFile& file, const GgufRopeRules& rules) {
  nlohmann::json config;
  write_gguf_rope(GgufKeys(file, "llama"), rules, config);
  return config["rope_parameters"];
}

TEST(GgufRope, OfPartOfAHeadIsTheShareThatGivesItBack) {
  for (const u32 part : {1U, 2U, 7U, 19U, 32U, 63U, 96U, 127U}) {
    const GgufFile file = small_llama({{"llama.rope.dimension_count", part}});
    for (const i64 head_dim : {128, 192, 127}) {
      const nlohmann::json rope = rope_of(file, {.head_dim = head_dim, .partial = true});
      const RopeConfig found = parse_rope(HfConfig({{"rope_parameters", rope}}, "m.gguf"),
                                          {.head_dim = head_dim, .partial = 0.5});
      EXPECT_EQ(found.rotary_dim, part) << head_dim;
    }
  }
  const GgufFile file = small_llama({{"llama.rope.dimension_count", u32{17}}});
  EXPECT_EQ(error_text<DataError>([&] { rope_of(file, {.head_dim = 16, .partial = true}); }),
            str(file.path(),
                ": \"llama.rope.dimension_count\": expected 1 to the 16 values of a "
                "head, found 17"));
}

TEST(GgufRope, OfSlidingLayersHasItsOwnBase) {
  const GgufRopeRules rules = {.head_dim = 16, .sliding_theta = 10000.0};
  const nlohmann::json rope =
      rope_of(small_llama({{"llama.rope.freq_base", 1e6F},
                           {"llama.rope.freq_base_swa", 500.0F},
                           {"llama.rope.scaling.type", std::string("linear")},
                           {"llama.rope.scaling.factor", 8.0F}}),
              rules);
  const nlohmann::json full = {{"rope_type", "linear"}, {"rope_theta", 1e6}, {"factor", 8.0}};
  EXPECT_EQ(rope["full_attention"], full);
  const nlohmann::json sliding = {{"rope_type", "default"}, {"rope_theta", 500.0}};
  EXPECT_EQ(rope["sliding_attention"], sliding);
  EXPECT_EQ(rope_of(small_llama(), rules)["sliding_attention"]["rope_theta"], 10000.0);
}

TEST(GgufRope, OfGemma4IsProportional) {
  const auto rope = [](const std::vector<float>& divisors) {
    return rope_of(
        small_llama({}, {{"rope_freqs.weight", divisors}}),
        {.head_dim = 16, .sliding_theta = 10000.0, .proportional = true})["full_attention"];
  };
  const nlohmann::json found = rope({1, 1, 1, 1e30F, 1e30F, 1e30F, 1e30F, 1e30F});
  EXPECT_EQ(found["rope_type"], "proportional");
  const HfConfig config({{"rope_parameters", found}}, "m.gguf");
  EXPECT_EQ(parse_rope(config, {.head_dim = 16}).pairs(), 3);
  EXPECT_THROW(rope({1, 2, 1, 1e30F, 1e30F, 1e30F, 1e30F, 1e30F}), DataError);
  EXPECT_THROW(rope({1, 1e30F}), DataError);
}

TEST(GgufRope, OfPhi3HasItsDivisorsWithoutAType) {
  const nlohmann::json rope =
      rope_of(small_llama({{"llama.rope.scaling.original_context_length", u32{32}}},
                          {{"rope_factors_short.weight", {1, 1, 1, 1, 2, 2, 2, 2}},
                           {"rope_factors_long.weight", {1, 2, 3, 4, 5, 6, 7, 8}}}),
              {.head_dim = 16, .partial = true});
  EXPECT_EQ(rope["rope_type"], "longrope");
  EXPECT_EQ(rope["original_max_position_embeddings"], 32);
}

TEST(GgufRope, OfYarnHasTheAttentionFactorOfItsFamily) {
  const GgufFile file = small_llama({{"llama.rope.scaling.type", std::string("yarn")},
                                     {"llama.rope.scaling.factor", 4.0F},
                                     {"llama.rope.scaling.yarn_attn_factor", 1.25F}});
  EXPECT_EQ(rope_of(file, {.head_dim = 16})["attention_factor"], 1.25);
  EXPECT_FALSE(
      rope_of(file, {.head_dim = 16, .yarn_attention_factor = false}).contains("attention_factor"));
}

TEST(GgufRope, OfLlama3HasItsWordsInConfigJson) {
  // llama.cpp's converter writes these divisors for Llama 3.2 (factor 32) and 3.1 (factor 8).
  for (const double factor : {8.0, 32.0}) {
    RopeConfig rope;
    rope.rotary_dim = 64;
    rope.theta = 500000.0;
    const std::vector<double> plain = rope_frequencies(rope).frequency;
    rope.type = RopeType::kLlama3;
    rope.factor = factor;
    rope.original_max_positions = 8192;
    const std::vector<double> scaled = rope_frequencies(rope).frequency;
    std::vector<float> divisors;
    for (std::size_t k = 0; k < plain.size(); ++k) {
      divisors.push_back(static_cast<float>(plain[k] / scaled[k]));
    }
    const auto found = llama3_parameters(rope.theta, divisors);
    ASSERT_TRUE(found.has_value());
    const HfConfig config({{"rope_parameters", *found}}, "config.json");
    EXPECT_EQ(
        rope_frequencies(parse_rope(config, {.head_dim = 64, .max_positions = 131072})).frequency,
        scaled);
    divisors[40 % divisors.size()] *= 1.01F;
    EXPECT_FALSE(llama3_parameters(rope.theta, divisors).has_value());
  }
}

TEST(GgufConfig, TakesAListThatIsTheSameForEveryLayer) {
  const HfConfig config = gguf_config(
      small_llama({{"llama.attention.head_count_kv", GgufArray::of(std::vector<i32>{1, 1, 1})},
                   {"llama.feed_forward_length", GgufArray::of(std::vector<i32>{48})}}));
  EXPECT_EQ(config.integer("num_key_value_heads"), 1);
  EXPECT_EQ(config.integer("intermediate_size"), 48);
}

TEST(GgufConfig, LeavesOutIdsThatOldConvertersWroteForNone) {
  const HfConfig config = gguf_config(small_llama({{"tokenizer.ggml.padding_token_id", ~u32{0}},
                                                   {"tokenizer.ggml.unknown_token_id", i32{-1}},
                                                   {"tokenizer.ggml.bos_token_id", u32{1}}}));
  EXPECT_FALSE(config.has("pad_token_id"));
  EXPECT_FALSE(config.has("unk_token_id"));
  EXPECT_EQ(config.integer("bos_token_id"), 1);
}

TEST(GgufConfig, NamesTheKeyThatIsNotSupported) {
  const struct {
    std::string key;
    GgufValue value;
    std::string sentence;
  } cases[] = {
      {"llama.rope.scaling.type", std::string("su"),
       "\"su\" is not supported (none, linear, yarn, longrope are)"},
      {"llama.rope.scaling.factor", -2.0F, "expected a number above 0, found -2"},
      {"llama.rope.dimension_count", u32{8},
       "expected the 16 of a head, which turns whole, found 8"},
      {"llama.attention.value_length", u32{8}, "expected the 16 of attention.key_length, found 8"},
      {"llama.attention.head_count_kv", GgufArray::of(std::vector<i32>{1, 2}),
       "layers that differ from one another are not supported"},
      {"general.type", std::string("adapter"), "expected \"model\", found \"adapter\""},
  };
  for (const auto& c : cases) {
    const GgufFile file = small_llama({{c.key, c.value}});
    EXPECT_EQ(error_text<DataError>([&] { gguf_config(file); }),
              str(file.path(), ": \"", c.key, "\": ", c.sentence));
  }
}

}  // namespace
}  // namespace inlay
