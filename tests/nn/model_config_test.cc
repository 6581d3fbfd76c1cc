// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "nn/models/families.h"
#include "nn/weights.h"
#include "tests/support/error_text.h"
#include "tests/support/known_families.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

Json llama() {
  return {{"model_type", "llama"},   {"vocab_size", 10},       {"hidden_size", 8},
          {"intermediate_size", 12}, {"num_hidden_layers", 1}, {"num_attention_heads", 2}};
}

Json gpt2() {
  return {{"model_type", "gpt2"}, {"n_embd", 12},     {"n_head", 2},
          {"n_layer", 1},         {"vocab_size", 10}, {"n_positions", 8}};
}

const SelfAttentionPlan& attention_of(const DecoderPlan& plan) {
  return std::get<SelfAttentionPlan>(plan.layers[0].mixer);
}

std::string error_of(const Json& json) {
  RandomWeights weights{RandomKey(1)};
  return error_text<DataError>([&] { make_model(HfConfig(json, "config.json"), weights); });
}

TEST(ModelConfig, OfLlamaHasTheDefaultsOfTransformers) {
  const DecoderPlan plan = plan_of(HfConfig(llama(), "config.json"));
  const SelfAttentionPlan& attention = attention_of(plan);
  EXPECT_EQ(attention.kv_heads, 2);
  EXPECT_EQ(attention.head_dim, 4);
  EXPECT_EQ(attention.scale, 0.5F);
  EXPECT_EQ(plan.sizes.max_positions, 2048);
  EXPECT_FALSE(plan.sizes.hard_limit);
  EXPECT_EQ(plan.norm.eps, 1e-6);
  EXPECT_EQ(plan.init_std, 0.02);
  EXPECT_FALSE(attention.qkv_bias || attention.o_bias || plan.tied_head);
  EXPECT_FALSE(plan.layers[0].mlp.bias);
  EXPECT_EQ(plan.ropes[0].config.theta, 10000.0);
  EXPECT_EQ(plan.ropes[0].config.type, RopeType::kDefault);
  EXPECT_EQ(plan.ropes[0].config.rotary_dim, 4);
}

TEST(ModelConfig, OfGpt2HasTheDefaultsOfTransformers) {
  const DecoderPlan plan =
      plan_of(HfConfig({{"model_type", "gpt2"}, {"n_inner", nullptr}}, "config.json"));
  const SelfAttentionPlan& attention = attention_of(plan);
  EXPECT_EQ(plan.sizes.vocab_size, 50257);
  EXPECT_EQ(plan.sizes.max_positions, 1024);
  EXPECT_TRUE(plan.sizes.hard_limit);
  EXPECT_EQ(plan.sizes.hidden_size, 768);
  EXPECT_EQ(plan.sizes.layers, 12);
  EXPECT_EQ(plan.layers.size(), 12U);
  EXPECT_EQ(attention.heads, 12);
  EXPECT_EQ(plan.layers[0].mlp.width, 3072);
  EXPECT_EQ(plan.norm.eps, 1e-5);
  EXPECT_EQ(attention.dropout, 0.1F);
  EXPECT_EQ(plan.layers[0].residual_dropout, 0.1F);
  EXPECT_EQ(plan.layers[0].mlp.activation, kernels::Activation::kGeluTanh);
  EXPECT_EQ(attention.scale, 0.125F);
  EXPECT_TRUE(plan.tied_head);
}

TEST(ModelConfig, NamesTheKeyThatIsWrong) {
  const Json rope = {{"rope_type", "yarn"}, {"factor", 2.0}};
  const struct {
    const char* key;
    Json value;
    std::string sentence;
  } cases[] = {
      {"model_type", "lama",
       str("/model_type: \"lama\" is not a family inlay knows (", testing::known_families(),
           ") (did you mean \"llama\"?)")},
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
      {"hidden_act", "relu6",
       "/hidden_act: \"relu6\" is not supported (silu, swish, gelu, gelu_python, gelu_new, "
       "gelu_fast, gelu_accurate, gelu_pytorch_tanh, "
       "gelu_python_tanh, relu, relu2 are)"},
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
       "yarn, longrope, proportional are)"},
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
       "longrope, proportional are)"},
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
       {{"rope_type", "proportional"}, {"partial_rotary_factor", 0.25}},
       "/rope_parameters/partial_rotary_factor: 0.25 of head_dim 4 leaves no pair to turn"},
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
  EXPECT_EQ(error_of(partial),
            "config.json: /rope_scaling/partial_rotary_factor: is not supported with a scaling: "
            "heads of this family turn whole");
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
      {"activation_function", "relu6",
       "/activation_function: \"relu6\" is not supported (silu, swish, gelu, gelu_python, "
       "gelu_new, gelu_fast, gelu_accurate, gelu_pytorch_tanh, "
       "gelu_python_tanh, relu, relu2 are)"},
  };
  for (const auto& c : cases) {
    Json json = gpt2();
    EXPECT_EQ(error_of(json), "no error");
    json[c.key] = c.value;
    EXPECT_EQ(error_of(json), "config.json: " + c.sentence);
  }
}

// Each changes the arithmetic of some family; Transformers passes it over in this one.
TEST(ModelConfig, RefusesSettingsOfOtherFamiliesByName) {
  const struct {
    Json config;
    const char* key;
    Json value;
    std::string sentence;
  } cases[] = {
      {llama(), "embedding_multiplier", 12, "12 is not supported: a Llama has no such setting"},
      {llama(), "query_pre_attn_scalar", 256, "256 is not supported: a Llama has no such setting"},
      {llama(), "clip_qkv", 8.5, "8.5 is not supported: a Llama has no such setting"},
      {llama(), "kv_lora_rank", 512, "512 is not supported: a Llama has no such setting"},
      {llama(), "scale_emb", 12, "12 is not supported: a Llama has no such setting"},
      {llama(), "mamba_d_state", 128, "128 is not supported: a Llama has no such setting"},
      {llama(), "full_attn_idxs", {1}, "[1] is not supported: a Llama has no such setting"},
      {llama(),
       "mlp_multipliers",
       {1.5, 1.0},
       "[1.5,1.0] is not supported: a Llama has no such setting"},
      {llama(), "qk_layernorm", true, "true is not supported"},
      {llama(), "rope_interleaved", true, "true is not supported"},
      {llama(), "scale_attn_weights", false, "false is not supported"},
      {llama(), "scale_attn_by_inverse_layer_idx", true, "true is not supported"},
      {llama(),
       "mlp_layer_types",
       {"dense", "sparse"},
       "layers that differ from one another are not supported"},
      {gpt2(), "logit_scale", 0.5, "0.5 is not supported: a GPT-2 has no such setting"},
      {gpt2(), "sliding_window", 128, "128 is not supported: a GPT-2 has no such setting"},
      {gpt2(), "partial_rotary_factor", 0.5, "0.5 is not supported: a GPT-2 has no such setting"},
      {gpt2(), "alibi", true, "true is not supported"},
      {gpt2(), "parallel_attn", true, "true is not supported"},
      {gpt2(),
       "layer_types",
       {"sliding_attention"},
       "layers that differ from one another are not supported"},
  };
  for (const auto& c : cases) {
    Json json = c.config;
    json[c.key] = c.value;
    EXPECT_EQ(error_of(json), str("config.json: /", c.key, ": ", c.sentence));
  }
}

// What files of the Hub, and of tools that write some, have besides.
TEST(ModelConfig, PassesOverSettingsThatChangeNothing) {
  const Json of_llama = {{"_name_or_path", "x"},
                         {"architectures", {"LlamaForCausalLM"}},
                         {"attention_bias", false},
                         {"bos_token_id", 1},
                         {"eos_token_id", {1, 2}},
                         {"is_llama_config", true},
                         {"pretraining_tp", 1},
                         {"rope_interleaved", false},
                         {"rope_scaling", nullptr},
                         {"torch_dtype", "bfloat16"},
                         {"transformers.js_config", {{"dtype", "q4"}}},
                         {"transformers_version", "4.42.3"},
                         {"unsloth_version", "2024.9"},
                         {"unsloth_fixed", true},
                         {"use_cache", true},
                         {"sliding_window", 4096},
                         {"use_sliding_window", false},
                         {"partial_rotary_factor", 1.0},
                         {"logits_scaling", 1.0},
                         {"attention_multiplier", 0.5},
                         {"query_pre_attn_scalar", 4},
                         {"num_experts", nullptr},
                         {"num_local_experts", 0},
                         {"layer_types", {"full_attention"}},
                         {"no_rope_layers", {1}},
                         {"quantization_config", nullptr},
                         {"mamba_d_state", 0},
                         {"full_attn_idxs", Json::array()},
                         {"use_qk_norm", false},
                         {"output_router_logits", false}};
  const Json of_gpt2 = {{"n_ctx", 8},
                        {"summary_type", "cls_index"},
                        {"summary_use_proj", true},
                        {"summary_first_dropout", 0.1},
                        {"reorder_and_upcast_attn", false},
                        {"task_specific_params", {{"text-generation", {{"do_sample", true}}}}},
                        {"scale_attn_weights", true},
                        {"gradient_checkpointing", false},
                        {"architectures", {"GPT2LMHeadModel"}},
                        {"sliding_window", nullptr}};
  for (const auto& [config, more] : {std::pair(llama(), of_llama), std::pair(gpt2(), of_gpt2)}) {
    Json json = config;
    json.update(more);
    EXPECT_EQ(error_of(json), "no error");
  }
}

TEST(ModelConfig, TellsTheSizesWithoutAModel) {
  const ModelSizes sizes = sizes_of(HfConfig(gpt2(), "config.json"));
  RandomWeights weights{RandomKey(1)};
  const auto model = make_model(HfConfig(gpt2(), "config.json"), weights);
  EXPECT_EQ(sizes.vocab_size, 10);
  EXPECT_EQ(sizes.hidden_size, 12);
  EXPECT_EQ(sizes.layers, 1);
  EXPECT_EQ(sizes.max_positions, 8);
  EXPECT_TRUE(sizes.hard_limit);
  EXPECT_EQ(model->sizes().layers, sizes.layers);
}

TEST(Families, HaveAllThatARowMustHave) {
  for (const Family* family : families()) {
    EXPECT_FALSE(family->model_types.empty());
    EXPECT_TRUE(family->names.embedding.starts_with(family->base_prefix));
    EXPECT_TRUE(family->names.layers.starts_with(family->base_prefix));
    for (const std::string& type : family->model_types) {
      EXPECT_EQ(find_family(type), family);
    }
    if (family->gguf) {
      // Families that share an architecture share its keys and names.
      const Family* first = find_gguf_family(family->gguf->architecture);
      EXPECT_TRUE(first == family || first->gguf->more_settings == family->gguf->more_settings);
    }
  }
}

// Every parameter of a model of the family has a name in its GGUF files, and no two share one.
TEST(Families, NameEveryParameterInGguf) {
  struct Names final : Visitor {
    void parameter(const std::string& name, Tensor& value) override {
      if (value.defined()) {
        found.push_back(name);
      }
    }
    std::vector<std::string> found;
  };
  Json biased = llama();
  biased.update({{"attention_bias", true}, {"mlp_bias", true}});
  for (const Json& json : {biased, gpt2()}) {
    const HfConfig config(json, "config.json");
    RandomWeights weights{RandomKey(1)};
    Names names;
    make_model(config, weights)->visit(names, "");
    std::set<std::string> gguf;
    for (const std::string& name : names.found) {
      const auto other = gguf_name(family_of(config), name);
      ASSERT_TRUE(other.has_value()) << name;
      EXPECT_TRUE(gguf.insert(*other).second) << *other;
    }
    EXPECT_FALSE(gguf_name(family_of(config), "model.vision.weight").has_value());
  }
  EXPECT_EQ(gguf_name(*find_family("llama"), "model.layers.10.mlp.up_proj.weight"),
            "blk.10.ffn_up.weight");
  EXPECT_EQ(gguf_name(*find_family("gpt2"), "transformer.h.3.attn.c_attn.bias"),
            "blk.3.attn_qkv.bias");
}

}  // namespace
}  // namespace inlay
