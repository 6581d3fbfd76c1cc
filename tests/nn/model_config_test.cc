// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "nn/models/gpt2.h"
#include "nn/models/llama.h"
#include "nn/models/registry.h"
#include "nn/weights.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

Json llama() {
  return {{"model_type", "llama"},   {"vocab_size", 10},       {"hidden_size", 8},
          {"intermediate_size", 12}, {"num_hidden_layers", 1}, {"num_attention_heads", 2}};
}

std::string error_of(const Json& json) {
  RandomWeights weights{RandomKey(1)};
  return error_text<DataError>([&] { make_model(HfConfig(json, "config.json"), weights); });
}

TEST(ModelConfig, OfLlamaHasTheDefaultsOfTransformers) {
  const LlamaConfig c = parse_llama_config(HfConfig(llama(), "config.json"));
  EXPECT_EQ(c.num_key_value_heads, 2);
  EXPECT_EQ(c.head_dim, 4);
  EXPECT_EQ(c.max_position_embeddings, 2048);
  EXPECT_EQ(c.rms_norm_eps, 1e-6);
  EXPECT_EQ(c.initializer_range, 0.02);
  EXPECT_FALSE(c.attention_bias || c.mlp_bias || c.tie_word_embeddings);
  EXPECT_EQ(c.rope.theta, 10000.0);
  EXPECT_EQ(c.rope.type, RopeType::kDefault);
  EXPECT_EQ(c.rope.rotary_dim, 4);
}

TEST(ModelConfig, OfGpt2HasTheDefaultsOfTransformers) {
  const Gpt2Config c = parse_gpt2_config(HfConfig({{"n_inner", nullptr}}, "config.json"));
  EXPECT_EQ(c.vocab_size, 50257);
  EXPECT_EQ(c.n_positions, 1024);
  EXPECT_EQ(c.n_embd, 768);
  EXPECT_EQ(c.n_layer, 12);
  EXPECT_EQ(c.n_head, 12);
  EXPECT_EQ(c.n_inner, 3072);
  EXPECT_EQ(c.layer_norm_epsilon, 1e-5);
  EXPECT_EQ(c.attn_pdrop, 0.1);
  EXPECT_EQ(c.activation, kernels::Activation::kGeluTanh);
  EXPECT_TRUE(c.tie_word_embeddings && c.scale_attn_weights);
}

TEST(ModelConfig, NamesTheKeyThatIsWrong) {
  const Json rope = {{"rope_type", "yarn"}, {"factor", 2.0}};
  const struct {
    const char* key;
    Json value;
    std::string sentence;
  } cases[] = {
      {"model_type", "lama",
       "/model_type: \"lama\" is not a family inlay knows (gpt2, llama) (did you mean "
       "\"llama\"?)"},
      {"model_type", 3, "/model_type: expected a string, found 3"},
      {"vocab_size", nullptr, "/vocab_size: missing"},
      {"vocab_size", 0, "/vocab_size: expected an integer from 1 to 2147483648, found 0"},
      {"hidden_size", 8.5, "/hidden_size: expected an integer from 1 to 2147483648, found 8.5"},
      {"hidden_size", "8", "/hidden_size: expected an integer from 1 to 2147483648, found \"8\""},
      {"intermediate_size", 1e300,
       "/intermediate_size: expected an integer from 1 to 2147483648, found 1e+300"},
      {"num_hidden_layers", 18446744073709551615ULL,
       "/num_hidden_layers: expected an integer from 1 to 2147483648, found 18446744073709551615"},
      {"num_key_value_heads", 3, "/num_key_value_heads: 3 does not divide num_attention_heads, 2"},
      {"head_dim", 5, "/head_dim: expected an even number, found 5"},
      {"rms_norm_eps", "small", "/rms_norm_eps: expected a number, found \"small\""},
      {"rms_norm_eps", -1.0, "/rms_norm_eps: expected a number from 0, found -1"},
      {"attention_dropout", 1.0, "/attention_dropout: expected a probability in [0, 1), found 1"},
      {"attention_bias", 1, "/attention_bias: expected true or false, found 1"},
      {"hidden_act", "relu",
       "/hidden_act: \"relu\" is not supported (silu, swish, gelu, gelu_new, gelu_pytorch_tanh "
       "are)"},
      {"residual_multiplier", 0.22,
       "/residual_multiplier: 0.22 is not supported: a Llama has no such setting"},
      {"logits_scaling", 8, "/logits_scaling: 8 is not supported: a Llama has no such setting"},
      {"attention_multiplier", 0.25,
       "/attention_multiplier: 0.25 is not supported: a Llama has no such setting"},
      {"final_logit_softcapping", 30.0,
       "/final_logit_softcapping: 30 is not supported: a Llama has no such setting"},
      {"num_local_experts", 8,
       "/num_local_experts: 8 is not supported: a Llama has no such setting"},
      {"use_qk_norm", true, "/use_qk_norm: true is not supported"},
      {"is_causal", false, "/is_causal: false is not supported"},
      {"layer_types",
       {"sliding_attention"},
       "/layer_types: layers that differ from one another are not supported"},
      {"no_rope_layers",
       {1, 0},
       "/no_rope_layers: layers that differ from one another are not supported"},
      {"rope_theta", 0.0, "/rope_theta: expected a number above 0, found 0"},
      {"rope_parameters", 7, " /rope_parameters: expected a JSON object"},
      {"rope_parameters",
       {{"rope_theta", -1.0}},
       "/rope_parameters/rope_theta: expected a number above 0, found -1"},
      {"rope_parameters",
       {{"rope_type", "mrope"}},
       "/rope_parameters/rope_type: \"mrope\" is not supported (default, linear, dynamic, llama3, "
       "yarn, longrope are)"},
      {"rope_parameters", {{"rope_type", "dynamic"}}, "/rope_parameters/factor: missing"},
      {"rope_parameters",
       {{"full_attention", {{"rope_type", "linear"}}}},
       "/rope_parameters/full_attention: settings for one kind of layers are not supported"},
      {"rope_scaling",
       {{"rope_type", "longrope"}, {"short_factor", {1, 1}}},
       "/rope_scaling/long_factor: missing"},
      {"rope_scaling",
       {{"rope_type", "longrope"}, {"short_factor", {1, 1, 1}}},
       "/rope_scaling/short_factor: expected 2 numbers, one for each pair that turns, found 3"},
      {"rope_scaling",
       {{"rope_type", "yarn"}, {"factor", 2}, {"attention_factor", 0}},
       "/rope_scaling/attention_factor: expected a number above 0, found 0"},
      {"rope_scaling",
       {{"type", "su"}},
       "/rope_scaling/type: \"su\" is not supported (default, linear, dynamic, llama3, yarn, "
       "longrope are)"},
      {"rope_scaling", {{"type", "linear"}}, "/rope_scaling/factor: missing"},
      {"rope_scaling",
       {{"type", "linear"}, {"factor", 0.0}},
       "/rope_scaling/factor: expected a number above 0, found 0"},
      {"rope_scaling",
       {{"rope_type", "llama3"}, {"factor", 2.0}},
       "/rope_scaling/low_freq_factor: missing"},
      {"rope_scaling",
       {{"rope_type", "llama3"}, {"factor", 2.0}, {"low_freq_factor", 4}, {"high_freq_factor", 4}},
       "/rope_scaling/high_freq_factor: expected more than low_freq_factor"},
      {"rope_parameters",
       {{"partial_rotary_factor", 1.5}},
       "/rope_parameters/partial_rotary_factor: expected a number above 0 and up to 1, found 1.5"},
      {"rope_parameters",
       {{"partial_rotary_factor", 0.25}},
       "/rope_parameters/partial_rotary_factor: 0.25 of head_dim 4 is 1, which is not a number of "
       "pairs"},
  };
  for (const auto& c : cases) {
    Json json = llama();
    json[c.key] = c.value;
    const std::string gap = c.sentence.front() == ' ' ? "" : " ";
    EXPECT_EQ(error_of(json), "config.json:" + gap + c.sentence);
  }
  Json partial = llama();
  partial["head_dim"] = 8;
  partial["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}, {"partial_rotary_factor", 0.5}};
  EXPECT_EQ(error_of(partial), "config.json: /partial_rotary_factor: a Llama turns whole heads");
  EXPECT_EQ(error_of(Json::array()), "config.json: expected a JSON object");
  EXPECT_EQ(error_of(llama()), "no error");
}

TEST(ModelConfig, NamesTheKeyOfGpt2ThatIsWrong) {
  const struct {
    const char* key;
    Json value;
    std::string sentence;
  } cases[] = {
      {"n_head", 5, "/n_head: 5 does not divide n_embd, 12"},
      {"layer_norm_epsilon", -1e-5, "/layer_norm_epsilon: expected a number from 0, found -1e-05"},
      {"attn_pdrop", 1.0, "/attn_pdrop: expected a probability in [0, 1), found 1"},
      {"resid_pdrop", -0.5, "/resid_pdrop: expected a probability in [0, 1), found -0.5"},
      {"embd_pdrop", 2, "/embd_pdrop: expected a probability in [0, 1), found 2"},
      {"add_cross_attention", true, "/add_cross_attention: true is not supported"},
      {"activation_function", "relu",
       "/activation_function: \"relu\" is not supported (gelu_new, gelu_pytorch_tanh, gelu, silu "
       "are)"},
  };
  for (const auto& c : cases) {
    Json json = {{"model_type", "gpt2"}, {"n_embd", 12},     {"n_head", 2},
                 {"n_layer", 1},         {"vocab_size", 10}, {"n_positions", 8}};
    EXPECT_EQ(error_of(json), "no error");
    json[c.key] = c.value;
    EXPECT_EQ(error_of(json), "config.json: " + c.sentence);
  }
}

}  // namespace
}  // namespace inlay
