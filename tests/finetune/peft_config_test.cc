// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/peft_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "core/config/json.h"
#include "core/config/reader.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "finetune/adapters/lora.h"
#include "finetune/config/check.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

/// What PEFT 0.21 writes for a LoRA adapter of GPT-2.
const char* const kWrittenByPeft = R"({
  "alora_invocation_tokens": null, "alpha_pattern": {"c_attn": 6}, "arrow_config": null,
  "auto_mapping": null, "base_model_name_or_path": "gpt2", "bias": "none", "corda_config": null,
  "ensure_weight_tying": false, "eva_config": null, "exclude_modules": null,
  "fan_in_fan_out": true, "inference_mode": true, "init_lora_weights": true, "kasa_config": null,
  "layer_replication": null, "layers_pattern": null, "layers_to_transform": null,
  "loftq_config": {}, "lora_alpha": 8, "lora_bias": false, "lora_dropout": 0.0,
  "lora_ga_config": null, "megatron_config": null, "megatron_core": "megatron.core",
  "modules_to_save": null, "monteclora_config": null, "peft_type": "LORA",
  "peft_version": "0.21.0", "qalora_group_size": 16, "r": 4, "rank_pattern": {"c_attn": 2},
  "revision": null, "target_modules": ["c_attn", "c_fc", "c_proj"], "target_parameters": null,
  "task_type": "CAUSAL_LM", "trainable_token_indices": null, "use_bdlora": null,
  "use_dora": false, "use_qalora": false, "use_rslora": false, "velora_config": null
})";

nlohmann::ordered_json peft_file() {
  return parse_ordered_json(kWrittenByPeft, "peft");
}

PeftConfig read(const nlohmann::ordered_json& json) {
  const ConfigDocument document = ConfigDocument::single(json, {"adapter_config.json", "dir"});
  PeftConfig config = read_config<PeftConfig>(document);
  Problems problems(document);
  check(config, "", problems);
  problems.throw_if_any();
  return config;
}

std::string reading_error(const nlohmann::ordered_json& json) {
  return error_text<ConfigError>([&] { read(json); });
}

TEST(PeftConfig, ReadsAFileThatPeftWrote) {
  const PeftConfig config = read(peft_file());
  EXPECT_EQ(config.r, 4);
  EXPECT_EQ(config.lora_alpha, 8.0);
  EXPECT_EQ(config.lora_dropout, 0.0);
  EXPECT_EQ(config.target_modules,
            StringOrList(std::vector<std::string>{"c_attn", "c_fc", "c_proj"}));
  EXPECT_EQ(config.rank_pattern, (OrderedMap<i64>{{"c_attn", 2}}));
  EXPECT_EQ(config.alpha_pattern, (OrderedMap<double>{{"c_attn", 6.0}}));
  EXPECT_EQ(own_keys<LoraKeys>(config).init_lora_weights, BoolOrString(true));
  EXPECT_FALSE(config.exclude_modules.has_value());
  EXPECT_TRUE(config.modules_to_save.empty());
}

TEST(PeftConfig, ReadsTheOtherFormsOfAKey) {
  auto json = peft_file();
  json["target_modules"] = "all-linear";
  json["exclude_modules"] = {"lm_head"};
  json["modules_to_save"] = {"embed_tokens"};
  json["init_lora_weights"] = "gaussian";
  json["task_type"] = nullptr;
  json["init_from"] = "../other";
  const PeftConfig config = read(json);
  EXPECT_EQ(config.target_modules, StringOrList("all-linear"));
  EXPECT_EQ(config.exclude_modules, StringOrList(std::vector<std::string>{"lm_head"}));
  EXPECT_EQ(config.modules_to_save, std::vector<std::string>{"embed_tokens"});
  EXPECT_EQ(own_keys<LoraKeys>(config).init_lora_weights, BoolOrString("gaussian"));
  EXPECT_FALSE(config.task_type.has_value());
  EXPECT_EQ(config.init_from, "other");

  json = peft_file();
  json["layers_to_transform"] = 3;
  json["layers_pattern"] = "h";
  EXPECT_EQ(read(json).layers_to_transform, std::vector<i64>{3});
  EXPECT_EQ(read(json).layers_pattern, StringOrList("h"));
}

TEST(PeftConfig, RefusesEachKeyThatWouldChangeTheMaths) {
  struct Case {
    const char* key;
    const char* value;
    const char* sentence;
  };
  const Case cases[] = {
      {"lora_bias", "true", "expected false, found true: a bias of lora_B is not supported"},
      {"loftq_config", R"({"loftq_bits": 4})",
       "expected {} or null, found an object: LoftQ is not supported"},
      {"eva_config", R"({"rho": 2.0})", "expected null, found an object: EVA is not supported"},
      {"corda_config", R"({"a": 1})", "expected null, found an object: CorDA is not supported"},
      {"lora_ga_config", R"({"a": 1})", "expected null, found an object: LoRA-GA is not supported"},
      {"kasa_config", R"({"a": 1})", "expected null, found an object: KaSA is not supported"},
      {"velora_config", R"({"a": 1})", "expected null, found an object: VeLoRA is not supported"},
      {"monteclora_config", R"({"a": 1})",
       "expected null, found an object: MonteCLoRA is not supported"},
      {"arrow_config", R"({"a": 1})",
       "expected null, found an object: Arrow routing is not supported"},
      {"use_qalora", "true", "expected false, found true: QALoRA is not supported"},
      {"use_bdlora", R"({"a": 1})",
       "expected null or false, found an object: BD-LoRA is not supported"},
      {"alora_invocation_tokens", "[1]",
       "expected null, found a list: activated LoRA is not supported"},
      {"trainable_token_indices", "[1]",
       "expected null, found a list: training single tokens is not supported"},
      {"layer_replication", "[[0, 2]]",
       "expected null, found a list: replicated layers are not supported"},
      {"ensure_weight_tying", "true",
       "expected false, found true: tied adapters are not supported"},
      {"peft_type", R"("IA3")", R"(expected "LORA", found "IA3")"},
      {"task_type", R"("SEQ_CLS")", R"(expected "CAUSAL_LM" or null, found "SEQ_CLS")"},
      {"bias", R"("all")", R"(expected "none", found "all")"},
      {"init_lora_weights", R"("pissa")", R"(expected true, false or "gaussian", found "pissa")"},
      {"lora_dropout", "1.0", "expected a number of at least 0 and below 1, found 1.0"},
      {"r", "0", "expected an integer from 1 to 1024, found 0"},
      {"rank", "4", R"(unknown key (did you mean "r"?))"},
      {"target_modules", "null", "expected a string or a list of strings, found null"},
      {"target_modules", "[]",
       R"(is empty: name modules, or "all-linear" for every linear layer but the head)"},
      {"target_modules", R"("")",
       R"(is empty: name modules, or "all-linear" for every linear layer but the head)"},
      {"layers_to_transform", "[]", "is empty: name layers, or set it to null for all"},
      {"layers_pattern", R"("h")", "has no meaning without layers_to_transform"},
  };
  for (const Case& c : cases) {
    auto json = peft_file();
    json[c.key] = parse_ordered_json(c.value, "value");
    EXPECT_EQ(reading_error(json), str("adapter_config.json: /", c.key, ": ", c.sentence));
  }
}

TEST(PeftConfig, RefusesLayersBesideARegex) {
  auto json = peft_file();
  json["target_modules"] = ".*c_attn";
  json["layers_to_transform"] = {0};
  EXPECT_EQ(
      reading_error(json),
      "adapter_config.json: /layers_to_transform: needs target_modules to be a list: a string "
      "says which layers by itself");
  json["layers_to_transform"] = nullptr;
  json["layers_pattern"] = {"h"};
  EXPECT_EQ(
      reading_error(json),
      "adapter_config.json: /layers_pattern: needs target_modules to be a list: a string says "
      "which layers by itself");
}

TEST(PeftConfig, WritesKeysThatReadBack) {
  PeftConfig config = read(peft_file());
  config.layers_to_transform = {0, 1};
  const std::string text = config_text(config);
  EXPECT_EQ(config_text(read(parse_ordered_json(text, "written"))), text);
}

}  // namespace
}  // namespace inlay
