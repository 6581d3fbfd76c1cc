// SPDX-License-Identifier: Apache-2.0
#include "nn/models/rope_override.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "nn/models/families.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

Json llama(const Json& more) {
  Json json = {{"model_type", "llama"},  {"vocab_size", 64},
               {"hidden_size", 32},      {"intermediate_size", 8},
               {"num_hidden_layers", 1}, {"num_attention_heads", 2},
               {"head_dim", 16},         {"max_position_embeddings", 128}};
  json.update(more);
  return json;
}

HfConfig scaled(const Json& model, const Json& rope_scaling) {
  return with_rope_scaling(HfConfig(model, "config.json"), rope_scaling, "a scaling");
}

TEST(RopeOverride, IsWrittenInTheWordsOfTransformersFive) {
  const Json old_yarn = {
      {"type", "yarn"}, {"factor", 2.0}, {"rope_theta", 700.0}, {"attention_factor", 3.0}};
  const struct {
    const char* name;
    Json model, scaling, rope;
    i64 positions;
  } cases[] = {
      {"linear",
       {{"rope_theta", 500.0}},
       {{"type", "linear"}, {"factor", 4.0}},
       {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 500.0}},
       512},
      {"linear over linear",
       {{"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}}},
       {{"rope_type", "linear"}, {"factor", 4.0}},
       {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 10000.0}},
       256},
      {"nothing of the old scaling but its base stays",
       {{"rope_theta", 500.0}, {"rope_scaling", old_yarn}},
       {{"rope_type", "linear"}, {"factor", 2.0}},
       {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 700.0}},
       256},
      {"dynamic measures by the old length",
       Json::object(),
       {{"rope_type", "dynamic"}, {"factor", 4.0}},
       {{"rope_type", "dynamic"}, {"factor", 4.0}, {"rope_theta", 10000.0}},
       128},
      {"yarn notes the old length",
       Json::object(),
       {{"rope_type", "yarn"}, {"factor", 4.0}},
       {{"rope_type", "yarn"},
        {"factor", 4.0},
        {"original_max_position_embeddings", 128},
        {"rope_theta", 10000.0}},
       512},
      {"yarn with a shorter one",
       Json::object(),
       {{"rope_type", "yarn"}, {"factor", 3.0}, {"original_max_position_embeddings", 64}},
       {{"rope_type", "yarn"},
        {"factor", 3.0},
        {"original_max_position_embeddings", 64},
        {"rope_theta", 10000.0}},
       192},
      {"a base of its own",
       {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 500.0}}}},
       {{"rope_type", "default"}, {"rope_theta", 9000.0}},
       {{"rope_type", "default"}, {"rope_theta", 9000.0}},
       128},
  };
  for (const auto& c : cases) {
    const HfConfig found = scaled(llama(c.model), c.scaling);
    EXPECT_EQ(found.json()["rope_parameters"], c.rope) << c.name;
    EXPECT_FALSE(found.has("rope_scaling")) << c.name;
    EXPECT_EQ(found.integer("max_position_embeddings"), c.positions) << c.name;
  }
}

TEST(RopeOverride, OfLongropeKeepsTheOldLengthWhereEveryClassLooksForIt) {
  const Json ones = Json::array({1, 1, 1, 1, 1, 1, 1, 1});
  const Json scaling = {
      {"rope_type", "longrope"}, {"factor", 4.0}, {"short_factor", ones}, {"long_factor", ones}};
  const HfConfig found = scaled(llama(Json::object()), scaling);
  EXPECT_EQ(found.integer("original_max_position_embeddings"), 128);
  EXPECT_EQ(found.integer("max_position_embeddings"), 512);
  const RopeConfig rope = plan_of(found).ropes[0].config;
  EXPECT_EQ(rope.original_max_positions, 128);
  EXPECT_EQ(rope.factor, 4.0);
}

TEST(RopeOverride, GivesAModelThatInlayDoesNotKnowARopeItDoes) {
  const Json model = llama({{"rope_scaling", {{"type", "unheard"}, {"factor", 2.0}}}});
  EXPECT_EQ(plan_of(scaled(model, {{"rope_type", "linear"}, {"factor", 4.0}})).ropes[0].config.type,
            RopeType::kLinear);
}

TEST(RopeOverride, NamesWhatIsWrong) {
  const auto complaint = [](const Json& scaling) {
    return error_text<ConfigError>([&] { scaled(llama(Json::object()), scaling); });
  };
  EXPECT_EQ(complaint({{"rope_type", "yarn"}, {"factor", -1.0}}),
            "config.json with a scaling: /rope_parameters/factor: expected a number above 0, found "
            "-1");
  EXPECT_EQ(complaint({{"rope_type", "llama3"}, {"factor", 2.0}}),
            "config.json with a scaling: /rope_parameters/low_freq_factor: missing");
  const Json gpt2 = {{"model_type", "gpt2"}, {"vocab_size", 64}, {"n_embd", 8},
                     {"n_layer", 1},         {"n_head", 1},      {"n_positions", 16}};
  EXPECT_EQ(error_text<ConfigError>([&] {
              scaled(gpt2, {{"rope_type", "linear"}, {"factor", 2.0}});
            }),
            "config.json with a scaling: this model has no RoPE to scale");
}

TEST(RopeOverride, ChecksItsKeysByItself) {
  const auto problem = [](const Json& scaling) {
    const auto problems = rope_scaling_problems(scaling);
    return problems.empty() ? std::string()
                            : str(problems[0].first, ": ", problems[0].second, problems.size());
  };
  EXPECT_EQ(problem({{"rope_type", "yarn"}, {"factor", 2}, {"truncate", false}}), "");
  EXPECT_EQ(problem({{"type", "su"}}), "");
  EXPECT_EQ(problem({{"full_attention", {{"rope_type", "linear"}, {"factor", 2}}}}), "");
  const std::string types = "default, linear, dynamic, llama3, yarn, longrope, proportional";
  EXPECT_EQ(problem({{"type", "yran"}}),
            "/type: expected one of " + types + ", found \"yran\" (did you mean \"yarn\"?)1");
  EXPECT_EQ(problem({{"factor", 2}}), "/rope_type: missing (" + types + ")1");
  EXPECT_EQ(problem({{"full_attention", 3}}), "/full_attention: expected an object, found 31");
  EXPECT_EQ(problem({{"full_attention", {{"rope_type", "linear"}}},
                     {"sliding_atention", Json::object()}}),
            "/sliding_atention: expected a type of layer (did you mean \"sliding_attention\"?)1");
  EXPECT_EQ(problem({{"full_attention", {{"rope_type", "linear"}, {"facto", 2}}}}),
            "/full_attention/facto: unknown key (did you mean \"factor\"?)1");
}

}  // namespace
}  // namespace inlay
