// SPDX-License-Identifier: Apache-2.0

// Run configs that cannot be carried out, through the real command: exit code 2, one sentence, and
// nothing loaded or written.

#include <gtest/gtest.h>

#include "tests/apps/workshop.h"
#include "tests/support/known_families.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

TEST(BadConfig, NamesTheKeyWhatWasFoundAndWhatIsAllowed) {
  struct Case {
    Changes changes;
    std::string sentence;  // behind "run.json: "
  };
  const Case cases[] = {
      {{{"/training/learning_rat", 1}},
       R"(/training/learning_rat: unknown key (did you mean "learning_rate"?))"},
      {{{"/trainning", Json::object()}}, R"(/trainning: unknown key (did you mean "training"?))"},
      {{{"/training/lr", 1e-3}}, R"(/training/lr: unknown key (did you mean "learning_rate"?))"},
      {{{"/model/max_length", 3}}, "/model/max_length: unknown key here (it belongs in /data)"},
      {{{"/training/max_steps", "ten"}},
       R"(/training/max_steps: expected an integer from -1 to 1000000000, found "ten")"},
      {{{"/training/max_steps", 1.5}},
       "/training/max_steps: expected an integer from -1 to 1000000000, found 1.5"},
      {{{"/training/max_steps", 0}},
       "/training/max_steps: expected -1 (not set) or at least 1, found 0"},
      {{{"/training/learning_rate", 11}},
       "/training/learning_rate: expected a number from 0 to 10, found 11"},
      {{{"/training/learning_rate", -1}},
       "/training/learning_rate: expected a number from 0 to 10, found -1"},
      {{{"/training", {1, 2}}}, "/training: expected an object, found a list"},
      {{{"/training/lr_scheduler_type", "cosin"}},
       R"(/training/lr_scheduler_type: expected "constant", "constant_with_warmup", "linear" or )"
       R"("cosine", found "cosin" (did you mean "cosine"?))"},
      {{{"/peft/use_dora", 1}}, "/peft/use_dora: expected true or false, found 1"},
      {{{"/peft/r", 0}}, "/peft/r: expected an integer from 1 to 1024, found 0"},
      {{{"/peft/target_modules", Json::array()}},
       R"(/peft/target_modules: is empty: name modules, or "all-linear" for every linear layer )"
       "but the head"},
      {{{"/model/config", {{"model_type", "llama"}}}},
       "/model: model_name_or_path and config exclude each other: set one to null"},
      {{{"/model/model_name_or_path", nullptr}},
       "/model/model_name_or_path: this path to a model, or model.config for random weights, is "
       "needed"},
      {{{"/quantization", {{"load_in_4bit", true}}}, {"/peft", nullptr}},
       "/quantization: 4-bit weights cannot be trained: add peft, or set quantization to null"},
      {{{"/quantization", {{"bnb_4bit_blocksize", 48}}}},
       "/quantization/bnb_4bit_blocksize: expected a power of two from 32 to 4096, found 48"},
      {{{"/training/warmup_steps", 1}, {"/training/warmup_ratio", 0.1}},
       "/training/warmup_ratio: warmup_steps and warmup_ratio exclude each other: set one to 0"},
      {{{"/eval/eval_steps", 3}},
       "/eval/eval_steps: 3 needs data.validation, a file to evaluate on"},
      {{{"/data/train", nullptr}}, "/data/train: a file to train on is needed"},
      {{{"/data/format", "text"}, {"/data/completion_only_loss", true}},
       R"(/data/completion_only_loss: rows of format "text" have no completion)"},
      {{{"/peft/target_modules", ".*q_proj"}, {"/peft/layers_to_transform", {0}}},
       "/peft/layers_to_transform: needs target_modules to be a list: a string says which layers "
       "by itself"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    workshop.write("run.json", run_json(c.changes));
    for (const char* command : {"config check run.json", "train run.json"}) {
      workshop.expect_refused(command, kUsage, "run.json: " + c.sentence);
    }
  }
}

TEST(BadConfig, NamesThePlaceInATextThatIsNoConfig) {
  struct Case {
    std::string text, sentence;  // behind "run.json: "
  };
  const Case cases[] = {
      {"", "line 1, column 1: nothing is here; expected a value"},
      {"{\"model\":\n {,}}",
       "line 2, column 3: syntax error while parsing object key - unexpected ','; expected string "
       "literal"},
      {R"({"model": {"dtype":"f32", "dtype":"f32"}})",
       R"(line 1, column 27: key "dtype" is given twice in one object)"},
      {"[1]", "expected a JSON object"},
      {"{\"a\": \"\xFF\"}",
       "line 1, column 8: syntax error while parsing value - invalid string: ill-formed UTF-8 "
       "byte"},
      {R"({"training": {"learning_rate": NaN}})", "line 1, column 32: syntax error while parsing…"},
      {R"({"training": {"learning_rate": 1e999}})",
       "line 1, column 36: number overflow parsing '1e999'"},
      {R"({"training": {"seed": 99999999999999999999999}})",
       "/training/seed: expected an integer of at least 0, found 9.999999999999999e+22"},
      {std::string(100'000, '['),
       "line 1, column 65: arrays and objects are nested more than 64 levels deep"},
      {R"({"extends": 3})", "/extends: expected a path"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    workshop.write("run.json", c.text);
    workshop.expect_refused("config check run.json", kUsage, "run.json: " + c.sentence);
  }
}

TEST(BadConfig, NamesTheFileOfAChainThatIsWrong) {
  const Workshop workshop;
  workshop.write("one.json", R"({"extends": "two.json"})");
  workshop.write("two.json", R"({"extends": "one.json"})");
  workshop.write("self.json", R"({"extends": "self.json"})");
  workshop.write("lost.json", R"({"extends": "none.json"})");
  workshop.write("base.json", run_json({{"/training/max_steps", "x"}}));
  workshop.write("over.json", R"({"extends": "base.json", "training": {"seed": 1}})");
  workshop.expect_refused("config check one.json", kUsage,
                          "two.json: /extends: one.json is extended in a circle");
  workshop.expect_refused("config check self.json", kUsage,
                          "self.json: /extends: self.json is extended in a circle");
  workshop.expect_refused("config check lost.json", kUsage,
                          "none.json: cannot open: no such file or directory");
  workshop.expect_refused("config check over.json", kUsage,
                          "base.json: /training/max_steps: expected an integer from -1 to "
                          R"(1000000000, found "x")");
  workshop.expect_refused("config check none.json", kUsage,
                          "none.json: cannot open: no such file or directory");
  workshop.expect_refused("config check model", kUsage, "model: cannot read: is a directory");
}

TEST(BadConfig, NamesTheOverrideThatIsWrong) {
  const Workshop workshop;
  workshop.expect_refused("config check run.json --set training", kUsage,
                          "--set training: expected KEY=VALUE with the parts of the key joined by "
                          "dots, such as training.learning_rate=1e-4");
  workshop.expect_refused("config check run.json --set training.learning_rat=3", kUsage,
                          "--set training.learning_rat=3: /training/learning_rat: unknown key (did "
                          R"(you mean "learning_rate"?))");
  workshop.expect_refused("train run.json --max-steps -5", kUsage,
                          "--set training.max_steps=-5: /training/max_steps: expected an integer "
                          "from -1 to 1000000000, found -5");
}

TEST(BadConfig, TellsAllMistakesAtOnceALineEach) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/lr", 1e-3}, {"/data/max_length", 1}}));
  const Finished finished = workshop.run("config check run.json");
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_EQ(finished.err,
            "inlay: run.json: /data/max_length: expected an integer from 2 to 1048576, found 1\n"
            "run.json: /training/lr: unknown key (did you mean \"learning_rate\"?)\n");
}

TEST(BadConfig, CommentsAreNoMistake) {
  const Workshop workshop;
  workshop.write("run.json", "// a run\n" + run_json({}) + "/* the end */");
  const Finished finished = workshop.run("config check run.json");
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.out, "run.json: no mistakes\n");
}

TEST(BadConfig, WhatOnlyTheModelShowsIsTold) {
  const std::string names =
      "embed_tokens, q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head";
  struct Case {
    Changes changes;
    ExitCode code;
    std::string sentence;
  };
  const Case cases[] = {
      {{{"/model/model_name_or_path", "nomodel"}},
       kData,
       "nomodel: there is no such folder or file, nor a model of this name in no-cache"},
      {{{"/data/train", "none.jsonl"}}, kData, "none.jsonl: there is no such data file"},
      {{{"/data/validation", "none.jsonl"}}, kData, "none.jsonl: there is no such data file"},
      {{{"/data/train", "model"}}, kData, "model: expected a data file, found a folder"},
      {{{"/model/tokenizer", "none"}}, kData, "none: there is no such tokenizer file or folder"},
      {{{"/model/chat_template", "none.jinja"}},
       kData,
       "none.jinja: there is no such file, nor a chat template of the model by this name; …"},
      {{{"/peft/target_modules", {"q_prj"}}},
       kUsage,
       R"(/peft/target_modules: "q_prj" matches no module of this model (did you mean "q_proj"?); )"
       "it has " +
           names},
      {{{"/peft/rank_pattern", {{"zz", 4}}}},
       kUsage,
       R"(/peft/rank_pattern: "zz" matches no module of this model; it has )" + names},
      {{{"/peft/layers_to_transform", {9}}},
       kUsage,
       "/peft/layers_to_transform: no targeted module lies in layer 9"},
      {{{"/peft/layers_to_transform", {0}}, {"/peft/target_modules", {"q_proj", "1.mlp.up_proj"}}},
       kUsage,
       R"(/peft/target_modules: "1.mlp.up_proj" matches no module in the layers of )"
       "layers_to_transform"},
      {{{"/peft/target_modules", "(q"}},
       kUsage,
       R"x(/peft/target_modules: the regular expression "^(?:(q)$" has a "(" without its ")" at )x"
       "offset 1, which is not supported"},
      {{{"/model/rope_scaling", {{"rope_type", "foo"}}}},
       kUsage,
       "run.json: /model/rope_scaling/rope_type: expected one of default, linear, dynamic, llama3, "
       "yarn, longrope, proportional, found \"foo\""},
      {{{"/model/rope_scaling", {{"type", "linear"}, {"facotr", 2.0}}}},
       kUsage,
       "run.json: /model/rope_scaling/facotr: unknown key (did you mean \"factor\"?)"},
      {{{"/model/rope_scaling", {{"factor", 2.0}}}},
       kUsage,
       "run.json: /model/rope_scaling/rope_type: missing (default, linear, dynamic, llama3, yarn, "
       "longrope, proportional)"},
      {{{"/model/rope_scaling", {{"rope_type", "linear"}}}},
       kUsage,
       "model/config.json with the run's model.rope_scaling: /rope_parameters/factor: missing"},
      {{{"/save/output_dir", "model"}},
       kUsage,
       "model: the output directory is not empty, and what is in it is not of a run; choose "
       "another "
       "one"},
      {{{"/save/output_dir", "rows.jsonl"}}, kUsage, "rows.jsonl: the output directory is a file"},
      {{{"/save/output_dir", "rows.jsonl/out"}},
       kData,
       "rows.jsonl: cannot make the directory: file exists"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    workshop.write("run.json", run_json(c.changes));
    workshop.expect_refused("train run.json", c.code, c.sentence);
  }
}

TEST(BadConfig, AModelOfRandomWeightsNeedsSoundSizes) {
  const Json good = Workshop().read_json("model/config.json");
  struct Case {
    std::string key;
    Json value;
    ExitCode code;
    std::string sentence;
  };
  const Case cases[] = {
      {"model_type", "lama", kData,
       str("model.config: /model_type: \"lama\" is not a family inlay knows (",
           testing::known_families(), ") (did you mean \"llama\"?)")},
      {"vocab_size", nullptr, kData, "model.config: /vocab_size: missing"},
      {"vocab_size", 50, kData,
       "rows.jsonl: line 1: token 97 (\"a\") is not in the model's vocabulary of 50, which ends "
       "before the tokenizer's"},
      {"hidden_size", -3, kData,
       "model.config: /hidden_size: expected an integer from 1 to 2147483648, found -3"},
      {"hidden_size", "32", kData,
       R"(model.config: /hidden_size: expected an integer from 1 to 2147483648, found "32")"},
      {"num_key_value_heads", 3, kData,
       "model.config: /num_key_value_heads: 3 does not divide num_attention_heads, 4"},
      {"num_hidden_layers", 0, kData,
       "model.config: /num_hidden_layers: expected an integer from 1 to 2147483648, found 0"},
      {"num_hidden_layers", i64{1} << 30, kData,
       "model.config: /num_hidden_layers: expected an integer from 1 to 4096, found 1073741824"},
      {"head_dim", 7, kData, "model.config: /head_dim: expected an even number, found 7"},
      {"hidden_act", "relu9", kData,
       R"(model.config: /hidden_act: "relu9" is not supported (silu, swish, gelu, gelu_python, gelu_new, gelu_fast, gelu_accurate, )"
       R"(gelu_pytorch_tanh, gelu_python_tanh, relu, relu2 are))"},
      {"rms_norm_eps", -1, kData,
       "model.config: /rms_norm_eps: expected a number from 0, found -1"},
      {"rope_theta", 0, kData, "model.config: /rope_theta: expected a number above 0, found 0"},
      {"attention_dropout", 1, kData,
       "model.config: /attention_dropout: expected a probability in [0, 1), found 1"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    Json config = good;
    config[c.key] = c.value;
    workshop.write("run.json", run_json({{"/model", {{"config", config}, {"tokenizer", "bytes"}}},
                                         {"/peft", nullptr}}));
    workshop.expect_refused("train run.json", c.code, c.sentence);
  }
}

TEST(BadConfig, AModelBeyondTheMachinesMemoryIsRefused) {
  const Workshop workshop;
  workshop.write("tokens.jsonl", Json{{"input_ids", {1, 2, 3}}}.dump() + "\n");
  for (const int bits : {24, 30}) {  // tables of 2^50 and 2^62 bytes
    Json config = workshop.read_json("model/config.json");
    config["hidden_size"] = config["vocab_size"] = i64{1} << bits;
    workshop.write("run.json", run_json({{"/model", {{"config", config}}},
                                         {"/peft", nullptr},
                                         {"/data/train", "tokens.jsonl"}}));
    workshop.expect_refused(
        "train run.json", ExitCode::kMemory,
        str("out of memory: ", i64{4} << (2 * bits), " bytes more are needed…"));
  }
}

TEST(BadConfig, ARunThatCannotBeginLeavesTheOneBeforeAlone) {
  const Workshop workshop;
  ASSERT_EQ(workshop.run("train run.json").exit_code, 0);
  workshop.write("run.json", run_json({{"/data/train", "none.jsonl"}}));
  workshop.expect_refused("train run.json --overwrite", kData,
                          "none.jsonl: there is no such data file");
}

TEST(BadConfig, ResumeNeedsARunOfTheSameSettings) {
  const Workshop workshop;
  workshop.expect_refused("train run.json --resume", kUsage, "out: there is no run to resume");
  workshop.expect_refused("train run.json --resume --overwrite", kUsage,
                          "--resume and --overwrite exclude each other");
  workshop.write("run.json", run_json({{"/save/save_steps", 1}}));
  ASSERT_EQ(workshop.run("train run.json").exit_code, 0);
  workshop.expect_refused(
      "train run.json --resume step-9", kUsage,
      "--resume step-9: there is no such checkpoint in out/checkpoints; there are: "
      "step-1");
  workshop.expect_refused("train run.json --resume --set training.seed=7", kUsage,
                          "out/config.resolved.json: /training/seed: the run was started with 42, "
                          "and now it is 7; a resumed run must keep its settings");
  const std::string state = workshop.read("out/checkpoints/step-1/optimizer.safetensors");
  workshop.write("out/checkpoints/step-1/optimizer.safetensors",
                 state.substr(0, state.size() - 1) + "x");
  const Finished finished = workshop.run("train run.json --resume");
  EXPECT_EQ(finished.exit_code, 4);
  EXPECT_EQ(finished.err,
            "inlay: out/checkpoints/step-1/optimizer.safetensors: the file is damaged: it is not "
            "what the checkpoint's trainer_state.json says\n");
}

}  // namespace
}  // namespace inlay
