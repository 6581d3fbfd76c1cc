// SPDX-License-Identifier: Apache-2.0
#include "nn/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "nn/models/rope_config.h"
#include "tests/support/error_text.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

TEST(RopeFrequencies, AreThoseOfTransformers) {
  const nlohmann::json cases = read_json(golden("models/rope.json"));
  for (const nlohmann::json& c : cases) {
    const std::string name = c["name"];
    const HfConfig config({{"rope_parameters", c["rope"]}}, "config.json");
    const RopeFrequencies found = rope_frequencies(
        parse_rope(config, {.head_dim = c["head_dim"], .max_positions = c["max"]}));
    ASSERT_EQ(found.frequency.size(), c["frequency"].size()) << name;
    for (std::size_t k = 0; k < found.frequency.size(); ++k) {
      // Transformers computes in f32: a power and a few products, some 1e-7 each.
      EXPECT_NEAR(found.frequency[k] / c["frequency"][k].get<double>(), 1.0, 2e-6) << name << k;
    }
    EXPECT_NEAR(found.attention_factor, c["attention_factor"].get<double>(), 1e-12) << name;
  }
}

TEST(RopeFrequencies, AreFoundInTheSpellingOfTransformersFourToo) {
  const nlohmann::json cases = read_json(golden("models/rope.json"));
  for (const nlohmann::json& c : cases) {
    nlohmann::json scaling = c["rope"];
    const nlohmann::json theta = scaling["rope_theta"];
    scaling.erase("rope_theta");
    nlohmann::json older = scaling;  // and before that the key was "type"
    older["type"] = older["rope_type"];
    older.erase("rope_type");
    const i64 D = c["head_dim"].get<i64>();
    const i64 most = c["max"].get<i64>();
    const auto frequencies = [&](const nlohmann::json& json) {
      return rope_frequencies(
                 parse_rope(HfConfig(json, "config.json"), {.head_dim = D, .max_positions = most}))
          .frequency;
    };
    const std::vector<double> expected = frequencies({{"rope_parameters", c["rope"]}});
    EXPECT_EQ(frequencies({{"rope_theta", theta}, {"rope_scaling", scaling}}), expected);
    EXPECT_EQ(frequencies({{"rope_theta", theta}, {"rope_scaling", older}}), expected);
  }
}

TEST(RopeFrequencies, AreFoundWhereTransformersLooksForThem) {
  for (const nlohmann::json& c : read_json(golden("models/rope_spellings.json"))) {
    const std::string name = c["name"];
    const RopeConfig rope =
        parse_rope(HfConfig(c["config"], "config.json"), {.head_dim = 8, .max_positions = 128});
    const RopeFrequencies found = rope_frequencies(rope, c["length"].get<i64>());
    ASSERT_EQ(found.frequency.size(), c["frequency"].size()) << name;
    for (std::size_t k = 0; k < found.frequency.size(); ++k) {
      // Transformers computes in f32: a power and a few products, some 1e-7 each.
      EXPECT_NEAR(found.frequency[k] / c["frequency"][k].get<double>(), 1.0, 2e-6) << name << k;
    }
    EXPECT_NEAR(found.attention_factor, c["attention_factor"].get<double>(), 1e-12) << name;
  }
}

// What the families' rows say, by model_type, but for sizes and types of layers.
const std::map<std::string, RopeRules>& rules_of_families() {
  static const std::map<std::string, RopeRules> rules = {
      {"smollm3", {.theta = 2000000.0}},
      {"ernie4_5", {.theta = 500000.0}},
      {"olmo3", {.theta = 500000.0}},
      {"gpt_oss", {.theta = 150000.0}},
      {"ministral3", {.query_growth = true}},
      {"phi3", {.partial = 1.0, .longrope_alone = true}},
      {"hunyuan_v1_dense", {.ntk_alpha = true}},
      {"glm4", {.partial = 0.5}},
      {"stablelm", {.partial = 0.25}},
      {"nemotron", {.partial = 0.5}},
      {"gpt_neox", {.theta_key = "rotary_emb_base", .partial_key = "rotary_pct", .partial = 0.25}},
  };
  return rules;
}

RopeRules rules_of(const nlohmann::json& c) {
  const std::string family = c["family"];
  const auto found = rules_of_families().find(family);
  RopeRules rules = found == rules_of_families().end() ? RopeRules() : found->second;
  rules.head_dim = 16;
  rules.max_positions = 128;
  rules.layer_type = c["layer_type"];
  if (rules.layer_type == "sliding_attention") {
    rules.theta_key = family == "olmo3" ? "" : "rope_local_base_freq";
  } else if (family == "gemma3_text") {
    rules.theta = 1000000.0;
  } else if (family == "gemma4_text") {
    rules.head_dim = 32;
  }
  return rules;
}

// Of a family whose class has settings where the file has none.
HfConfig config_of(const nlohmann::json& c) {
  const HfConfig config(c["config"], "config.json");
  const std::string family = c["family"];
  if (family == "ministral3") {
    return with_rope_parameters(config, {{"rope_type", "yarn"},
                                         {"rope_theta", 1000000.0},
                                         {"factor", 16.0},
                                         {"original_max_position_embeddings", 16384},
                                         {"mscale", 1.0},
                                         {"mscale_all_dim", 1.0},
                                         {"llama_4_scaling_beta", 0.1}});
  }
  if (family == "gpt_oss") {
    return with_rope_parameters(config, {{"rope_type", "yarn"},
                                         {"factor", 32.0},
                                         {"original_max_position_embeddings", 4096},
                                         {"truncate", false}});
  }
  if (family == "gemma4_text") {
    return with_rope_parameters(
        config, {{"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}},
                 {"full_attention",
                  {{"rope_type", "proportional"},
                   {"rope_theta", 1000000.0},
                   {"partial_rotary_factor", 0.25}}}});
  }
  return config;
}

TEST(RopeFrequencies, OfEveryFamilyAreThoseOfTransformers) {
  for (const nlohmann::json& c : read_json(golden("models/rope_families.json"))) {
    const std::string name =
        str(c["name"].get<std::string>(), " ", c["layer_type"].get<std::string>());
    const RopeFrequencies found =
        rope_frequencies(parse_rope(config_of(c), rules_of(c)), c["length"].get<i64>());
    std::vector<double> expected = c["frequency"];
    while (expected.back() == 0.0) {
      expected.pop_back();  // pairs that do not turn
    }
    ASSERT_EQ(found.frequency.size(), expected.size()) << name;
    for (std::size_t k = 0; k < found.frequency.size(); ++k) {
      // Transformers computes in f32: a power and a few products, some 1e-7 each.
      EXPECT_NEAR(found.frequency[k] / expected[k], 1.0, 2e-6) << name << k;
    }
    EXPECT_NEAR(found.attention_factor, c["attention_factor"].get<double>(), 1e-12) << name;
  }
}

TEST(RotaryEmbedding, HoldsCosinesAndSinesOfEveryPosition) {
  RopeConfig config;
  config.rotary_dim = 6;
  const RotaryEmbedding rotary(config);
  const std::vector<i32> positions = {3, 700, 0};
  const RopeTables& tables = rotary.tables(positions);
  ASSERT_GT(tables.cosines.dim(0), 700);
  for (const i32 p : positions) {
    for (i64 k = 0; k < 3; ++k) {
      const double angle = p * std::pow(10000.0, -2.0 * static_cast<double>(k) / 6.0);
      // The angle is an f32: up to 700, so good to 3e-5.
      EXPECT_NEAR(tables.cosines.values()[p * 3 + k], std::cos(angle), 1e-4);
      EXPECT_NEAR(tables.sines.values()[p * 3 + k], std::sin(angle), 1e-4);
    }
  }
}

TEST(RotaryEmbedding, TurnsBackwards) {
  const std::vector<i32> positions = {5};
  const RopeTables forwards = RotaryEmbedding({.rotary_dim = 4}).tables(positions);
  const RopeTables backwards =
      RotaryEmbedding({.rotary_dim = 4, .backwards = true}).tables(positions);
  for (i64 at = 0; at < forwards.sines.numel(); ++at) {
    EXPECT_EQ(backwards.cosines.values()[at], forwards.cosines.values()[at]);
    EXPECT_EQ(backwards.sines.values()[at], -forwards.sines.values()[at]);
  }
}

TEST(RotaryEmbedding, ReachesOverHalfAHeadWhatPartTurns) {
  const std::vector<i32> positions = {5};
  const RopeTables part = RotaryEmbedding({.type = RopeType::kProportional,
                                           .rotary_dim = 20,
                                           .proportion = 0.39})  // of 10 pairs: 3.9
                              .tables(positions);
  EXPECT_EQ(part.cosines.dim(1), 3);
  EXPECT_EQ(part.distance, 10);
  EXPECT_EQ(RotaryEmbedding({.rotary_dim = 20}).tables(positions).distance, 10);
}

TEST(RotaryEmbedding, GrowsQueriesByTheirPosition) {
  RopeConfig config;
  config.rotary_dim = 4;
  config.query_growth = 0.3;
  config.query_growth_positions = 16;
  const RotaryEmbedding rotary(config);
  const std::vector<i32> positions = {70};
  const RopeTables queries = rotary.query_tables(positions);
  const RopeTables keys = rotary.tables(positions);
  for (const i64 p : {0, 15, 16, 31, 32, 70}) {
    const double factor = 1.0 + 0.3 * std::log(1.0 + std::floor(static_cast<double>(p) / 16.0));
    for (i64 k = 0; k < 2; ++k) {
      const i64 at = p * 2 + k;
      EXPECT_FLOAT_EQ(queries.cosines.values()[at],
                      keys.cosines.values()[at] * static_cast<float>(factor));
      EXPECT_FLOAT_EQ(queries.sines.values()[at],
                      keys.sines.values()[at] * static_cast<float>(factor));
    }
  }
}

TEST(RopeConfig, SaysWhichLayersHaveRope) {
  const auto layers = [](const nlohmann::json& json, i64 count) {
    return layers_with_rope(HfConfig(json, "config.json"), count, 4);
  };
  EXPECT_EQ(layers(nlohmann::json::object(), 5), (std::vector<bool>{1, 1, 1, 0, 1}));
  EXPECT_EQ(layers({{"no_rope_layer_interval", 2}}, 3), (std::vector<bool>{1, 0, 1}));
  EXPECT_EQ(layers({{"no_rope_layers", {1, 0, 0}}, {"no_rope_layer_interval", 2}}, 3),
            (std::vector<bool>{1, 0, 0}));
  EXPECT_EQ(error_text<DataError>([&] {
              layers({{"no_rope_layers", {1, 0}}}, 3);
            }),
            "config.json: /no_rope_layers: expected 3 numbers, one a layer, found 2");
}

TEST(RotaryEmbedding, DividesFrequenciesOneByOne) {
  RopeConfig config;
  config.rotary_dim = 4;
  const std::vector<float> divisors = {1.0F, 8.0F};
  const RotaryEmbedding divided(config, divisors);
  const RotaryEmbedding plain(config);
  const std::vector<i32> positions = {80};
  const Tensor a = divided.tables(positions).sines;
  const Tensor b = plain.tables(positions).sines;
  EXPECT_FLOAT_EQ(a.values()[80 * 2], b.values()[80 * 2]);
  EXPECT_FLOAT_EQ(a.values()[80 * 2 + 1], b.values()[10 * 2 + 1]);
}

}  // namespace
}  // namespace inlay
