// SPDX-License-Identifier: Apache-2.0
#include "nn/models/llama_like.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/error_text.h"

/// What families like Llama make of keys that are there, that are null, and that are missing: the
/// defaults are those of their classes in Transformers 5.24.
namespace inlay {
namespace {

using Json = nlohmann::json;

// Large enough for the defaults of every class: up to 32 heads of keys.
Json large(const std::string& type, const Json& more = {}) {
  Json json = {{"model_type", type},      {"vocab_size", 10},       {"hidden_size", 256},
               {"intermediate_size", 12}, {"num_hidden_layers", 8}, {"num_attention_heads", 32}};
  if (type == "granitemoehybrid") {
    json["num_local_experts"] = 0;
    json["layer_types"] = std::vector<std::string>(8, "attention");
  }
  if (!more.is_null()) {
    json.update(more);
  }
  return json;
}

DecoderPlan plan_with(const std::string& type, const Json& more = {}) {
  return plan_of(HfConfig(large(type, more), "config.json"));
}

std::string refusal(const std::string& type, const Json& more) {
  return error_text<DataError>([&] { plan_with(type, more); });
}

// One number a layer.
std::vector<i64> windows(DecoderPlan plan) {
  std::vector<i64> out;
  for (LayerPlan& layer : plan.layers) {
    out.push_back(attention_of(layer).window);
  }
  return out;
}

std::vector<i64> ropes(DecoderPlan plan) {  // -1: none
  std::vector<i64> out;
  for (LayerPlan& layer : plan.layers) {
    out.push_back(attention_of(layer).rope.value_or(-1));
  }
  return out;
}

std::vector<i64> all(i64 value) {
  return std::vector<i64>(8, value);
}

TEST(LlamaLike, HasTheDefaultsOfEachClass) {
  const struct {
    const char* type;
    i64 kv_heads, head_dim, positions;
    double eps, theta;
    bool tied;
  } cases[] = {
      {"qwen2", 32, 8, 32768, 1e-6, 10000.0, false},
      {"qwen3", 32, 128, 32768, 1e-6, 10000.0, false},
      {"mistral", 8, 8, 131072, 1e-6, 10000.0, false},
      {"ministral3", 8, 128, 262144, 1e-5, 1e6, false},
      {"smollm3", 4, 8, 32768, 1e-6, 2000000.0, true},
      {"phi3", 32, 8, 4096, 1e-5, 10000.0, false},
      {"granite", 32, 8, 2048, 1e-6, 10000.0, false},
      {"granitemoehybrid", 32, 8, 2048, 1e-6, 10000.0, false},
      {"hunyuan_v1_dense", 32, 8, 2048, 1e-5, 10000.0, false},
      {"ernie4_5", 2, 128, 131072, 1e-5, 500000.0, true},
      {"olmo2", 32, 8, 2048, 1e-5, 10000.0, false},
      {"olmo3", 32, 8, 2048, 1e-5, 500000.0, false},
      {"exaone4", 32, 8, 2048, 1e-5, 10000.0, false},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.type);
    DecoderPlan plan = plan_with(c.type);
    const SelfAttentionPlan& attention = attention_of(plan.layers[0]);
    EXPECT_EQ(attention.kv_heads, c.kv_heads);
    EXPECT_EQ(attention.head_dim, c.head_dim);
    EXPECT_EQ(plan.sizes.max_positions, c.positions);
    EXPECT_EQ(plan.norm.eps, c.eps);
    EXPECT_EQ(plan.ropes[0].config.theta, c.theta);
    EXPECT_EQ(plan.tied_head, c.tied);
    EXPECT_EQ(find_family(c.type)->tied_by_default, c.tied);
    // Null is as many as there are heads, whatever the class has by default.
    DecoderPlan null = plan_with(c.type, {{"num_key_value_heads", nullptr}});
    EXPECT_EQ(attention_of(null.layers[0]).kv_heads, 32);
  }
}

TEST(LlamaLike, WindowsAreThoseOfTheirLayers) {
  EXPECT_EQ(windows(plan_with("mistral")), all(4096));
  EXPECT_EQ(windows(plan_with("mistral", {{"sliding_window", nullptr}})), all(0));
  EXPECT_EQ(windows(plan_with("ministral3")), all(0));
  EXPECT_EQ(windows(plan_with("phi3", {{"sliding_window", 7}})), all(7));
  EXPECT_EQ(windows(plan_with("qwen2", {{"sliding_window", 7}})), all(0));
  EXPECT_EQ(windows(plan_with(
                "qwen2",
                {{"use_sliding_window", true}, {"sliding_window", 7}, {"max_window_layers", 6}})),
            (std::vector<i64>{0, 0, 0, 0, 0, 0, 7, 7}));
  EXPECT_EQ(windows(plan_with("qwen3", {{"use_sliding_window", true}, {"max_window_layers", 7}})),
            (std::vector<i64>{0, 0, 0, 0, 0, 0, 0, 4096}));
  EXPECT_EQ(windows(plan_with("smollm3", {{"use_sliding_window", true}, {"sliding_window", 9}})),
            (std::vector<i64>{0, 0, 0, 9, 0, 0, 0, 9}));
  EXPECT_EQ(windows(plan_with("olmo3", {{"sliding_window", 9}})),
            (std::vector<i64>{9, 9, 9, 0, 9, 9, 9, 0}));
}

TEST(LlamaLike, SomeLayersHaveNoRope) {
  EXPECT_EQ(ropes(plan_with("smollm3")), (std::vector<i64>{0, 0, 0, -1, 0, 0, 0, -1}));
  EXPECT_EQ(ropes(plan_with("smollm3", {{"no_rope_layers", {0, 1, 1, 1, 1, 1, 1, 1}}})),
            (std::vector<i64>{-1, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(ropes(plan_with("granitemoehybrid")), all(-1));
  EXPECT_EQ(ropes(plan_with("granitemoehybrid", {{"position_embedding_type", "rope"}})), all(0));
  EXPECT_EQ(ropes(plan_with("olmo3")), (std::vector<i64>{1, 1, 1, 0, 1, 1, 1, 0}));
}

TEST(Mistral3, IsOneOfTheLanguageModelsThatItMayHold) {
  const auto plan = [](const Json& text) {
    return plan_of(HfConfig({{"model_type", "mistral3"}, {"text_config", text}}, "config.json"));
  };
  EXPECT_EQ(windows(plan(large("mistral"))), all(4096));
  EXPECT_EQ(plan(large("ministral3")).ropes[0].config.type, RopeType::kYarn);
  EXPECT_EQ(plan(large("mistral")).names.layers, "model.language_model.layers");
  EXPECT_EQ(error_text<DataError>([&] { plan(large("llama")); }),
            "config.json: /text_config/model_type: expected \"mistral\" or \"ministral3\", found "
            "\"llama\"");
}

TEST(Granite, HasExpertsAloneBesideABlockOfAllOrNone) {
  const auto plan = [](const char* type, const Json& more) {
    return plan_with(type, more).layers[7];
  };
  const Json shared = {{"shared_intermediate_size", 20}};
  EXPECT_EQ(plan("granitemoe", {}).mlp.width, 0);
  EXPECT_EQ(plan("granitemoe", {}).experts->width, 12);
  EXPECT_EQ(plan("granitemoe", {}).experts->experts, 8);
  EXPECT_EQ(plan("granitemoe", {}).experts->routing.chosen, 2);
  EXPECT_EQ(plan("granitemoeshared", {}).mlp.width, 0);
  EXPECT_EQ(plan("granitemoeshared", shared).mlp.width, 20);
  EXPECT_EQ(plan("granitemoeshared", shared).experts->width, 12);
  EXPECT_FALSE(plan("granitemoehybrid", shared).experts.has_value());
  EXPECT_EQ(plan("granitemoehybrid", {{"num_local_experts", 4}}).mlp.width, 1024);
  EXPECT_EQ(plan("granitemoehybrid", {{"num_local_experts", 4}}).experts->width, 12);
}

TEST(Exaone4, LayersThatSeeAllHaveNoRopeWhereOthersSlide) {
  const std::vector<i64> slides = {5, 5, 5, 0, 5, 5, 5, 0};
  const std::vector<i64> turns = {0, 0, 0, -1, 0, 0, 0, -1};
  for (const Json& pattern : {Json(4), Json("LLLG")}) {
    const DecoderPlan plan =
        plan_with("exaone4", {{"sliding_window", 5}, {"sliding_window_pattern", pattern}});
    EXPECT_EQ(windows(plan), slides);
    EXPECT_EQ(ropes(plan), turns);
  }
  // Never the last layer, in letters.
  EXPECT_EQ(windows(plan_with("exaone4", {{"sliding_window", 5}, {"sliding_window_pattern", "L"}})),
            (std::vector<i64>{5, 5, 5, 5, 5, 5, 5, 0}));
  const DecoderPlan none = plan_with("exaone4", {{"sliding_window", nullptr}});
  EXPECT_EQ(windows(none), all(0));
  EXPECT_EQ(ropes(none), all(0));
}

TEST(LlamaLike, FactorsAreWhereGraniteHasThem) {
  for (const char* type : {"granite", "granitemoehybrid"}) {
    DecoderPlan plan = plan_with(type, {{"embedding_multiplier", 12.0},
                                        {"residual_multiplier", 0.5},
                                        {"attention_multiplier", 0.25},
                                        {"logits_scaling", 8.0}});
    EXPECT_EQ(plan.embedding_multiplier, 12.0F);
    EXPECT_EQ(plan.layers[7].residual_multiplier, 0.5F);
    EXPECT_EQ(attention_of(plan.layers[7]).scale, 0.25F);
    EXPECT_EQ(plan.logits_multiplier, 0.125F);
    // Without the key no head_dim^-0.5 either.
    plan = plan_with(type);
    EXPECT_EQ(attention_of(plan.layers[0]).scale, 1.0F);
  }
  EXPECT_EQ(plan_with("granitemoehybrid").layers[0].mlp.width, 1024);
}

TEST(LlamaLike, SaysWhatIsNotSupported) {
  const struct {
    const char* type;
    Json more;
    const char* sentence;
  } cases[] = {
      {"qwen2",
       {{"layer_types", {"full_attention"}}},
       "/layer_types: expected 8 types, one a layer, found 1"},
      {"qwen2",
       {{"layer_types", std::vector<std::string>(8, "mamba")}},
       "/layer_types: \"mamba\" is not supported (full_attention, sliding_attention are)"},
      {"qwen3",
       {{"layer_types", std::vector<std::string>(8, "sliding_attention")}},
       "/sliding_window: missing: layer 0 is of sliding_attention"},
      {"qwen3", {{"layer_types", 3}}, "/layer_types: expected a list of strings"},
      {"exaone4",
       {{"sliding_window_pattern", "LXG"}},
       "/sliding_window_pattern: expected letters L and G, or a number, found \"LXG\""},
      {"granite",
       {{"logits_scaling", 0.0}},
       "/logits_scaling: expected another number than 0: logits are divided by it"},
      {"granitemoehybrid",
       {{"layer_types", nullptr}},
       "/layers_block_type: \"linear_attention\" is not supported: only attention is, in every "
       "layer"},
      {"granitemoehybrid",
       {{"num_local_experts", 4}, {"num_experts_per_tok", 5}},
       "/num_experts_per_tok: 5 is more than the 4 of num_local_experts"},
      {"granitemoe",
       {{"shared_intermediate_size", 8}},
       "/shared_intermediate_size: 8 is not supported: a Granite-MoE has no such setting"},
      {"hunyuan_v1_dense", {{"use_qk_norm", false}}, "/use_qk_norm: false is not supported"},
      {"hunyuan_v1_dense", {{"use_cla", true}}, "/use_cla: true is not supported"},
      {"mistral",
       {{"embedding_multiplier", 2.0}},
       "/embedding_multiplier: 2 is not supported: a Mistral has no such setting"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refusal(c.type, c.more), std::string("config.json: ") + c.sentence);
  }
}

}  // namespace
}  // namespace inlay
