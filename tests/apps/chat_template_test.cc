// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/apps/workshop.h"
#include "tests/data/golden.h"

/// Which template the command renders, what the template finds, and that its result is kept.
namespace inlay {
namespace {

using Json = nlohmann::json;

constexpr const char* kRow =
    R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}])";

/// A run of random weights on one conversation, over the tokenizer in tok/, which has no chat
/// template yet.
class ChatWorkshop : public Workshop {
 public:
  ChatWorkshop() {
    write("tok/tokenizer.json", golden_tokenizer_json("gpt2_style").dump());
    set_config({});
    set_row("");
    const Json llama = {{"model_type", "llama"},    {"vocab_size", 1300},
                        {"hidden_size", 16},        {"intermediate_size", 16},
                        {"num_hidden_layers", 1},   {"num_attention_heads", 2},
                        {"num_key_value_heads", 1}, {"max_position_embeddings", 256}};
    const Json run = {
        {"model", {{"config", llama}, {"tokenizer", "tok"}}},     {"peft", {{"r", 2}}},
        {"data", {{"train", "chat.jsonl"}, {"max_length", 256}}}, {"training", {{"max_steps", 2}}},
        {"save", {{"output_dir", "out"}, {"save_steps", 1}}},     {"runtime", {{"threads", 1}}}};
    write("chat.json", run.dump());
  }

  /// tokenizer_config.json with these keys.
  void set_config(Json keys) const {
    keys["tokenizer_class"] = "PreTrainedTokenizerFast";
    write("tok/tokenizer_config.json", keys.dump());
  }
  /// The row with further columns, such as R"(, "tools": [])".
  void set_row(const std::string& columns) const { write("chat.jsonl", kRow + columns + "}\n"); }

  /// The text of the row as `data show` has it.
  std::string shown(const std::vector<std::string>& options = {}) const {
    std::vector<std::string> arguments = {"data", "show", "chat.json", "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Finished finished = run(arguments);
    if (finished.exit_code != 0) {
      return finished.err;
    }
    const Json shown = Json::parse(finished.out);
    std::string text;
    for (const auto& piece : shown["pieces"]) {
      text += piece.get<std::string>();
    }
    for (const auto& [letter, byte] : {std::pair("Ġ", " "), std::pair("Ċ", "\n")}) {
      for (std::size_t at = text.find(letter); at != std::string::npos; at = text.find(letter)) {
        text.replace(at, std::string(letter).size(), byte);
      }
    }
    return text;
  }
};

/// A template that says its name, and the answer.
std::string named(const std::string& name) {
  return name + ":{% for m in messages %}{{ m.role[0] }}={{ m.content }};{% endfor %}" +
         "{% if add_generation_prompt %}a={% endif %}";
}

TEST(NamedChatTemplates, AreChosenByTheToolsOfARow) {
  const std::string tools = R"(, "tools": [{"type": "function", "function": {"name": "f"}}])";
  const Json two = {{{"name", "default"}, {"template", named("one")}},
                    {{"name", "tool_use"}, {"template", named("{{ tools|length }}")}}};
  const struct {
    std::vector<std::pair<std::string, std::string>> files;  // of tok/
    Json config;
    std::string columns, text;
  } cases[] = {
      {{}, two, "", "one:u=Hi;a=Yo;"},
      {{}, two, tools, "1:u=Hi;a=Yo;"},
      {{}, two, R"(, "tools": [])", "0:u=Hi;a=Yo;"},
      {{}, two, R"(, "tools": null)", "one:u=Hi;a=Yo;"},
      {{}, two, R"(, "tools": "[{\"type\": \"function\"}]")", "1:u=Hi;a=Yo;"},
      {{{"chat_template.jinja", named("file")}}, two, tools, "file:u=Hi;a=Yo;"},
      {{{"chat_template.jinja", named("file")},
        {"additional_chat_templates/tool_use.jinja", named("tools")}},
       named("config"),
       tools,
       "tools:u=Hi;a=Yo;"},
      {{{"chat_template.jinja", named("file")},
        {"additional_chat_templates/tool_use.jinja", named("tools")}},
       named("config"),
       "",
       "file:u=Hi;a=Yo;"},
      {{{"additional_chat_templates/tool_use.jinja", named("tools")}},
       named("config"),
       "",
       "inlay: chat.jsonl: line 1: llama: chat template: no chat template is named \"default\" "
       "(there are \"tool_use\"); name the one to use\n"},
      {{{"chat_template.json", Json({{"chat_template", named("old")}}).dump()}},
       nullptr,
       tools,
       "old:u=Hi;a=Yo;"},
  };
  for (const auto& c : cases) {
    const ChatWorkshop workshop;
    for (const auto& [name, text] : c.files) {
      workshop.write("tok/" + name, text);
    }
    workshop.set_config({{"chat_template", c.config}});
    workshop.set_row(c.columns);
    EXPECT_EQ(workshop.shown(), c.text) << c.columns;
  }
}

TEST(NamedChatTemplates, CanBeChosenByName) {
  const ChatWorkshop workshop;
  workshop.set_config({{"chat_template",
                        {{{"name", "default"}, {"template", named("one")}},
                         {{"name", "tool_use"}, {"template", named("two")}},
                         {{"name", "rag"}, {"template", named("three")}}}}});
  workshop.set_row(R"(, "tools": [{"type": "function"}])");
  const auto with = [&](const std::string& name) {
    return workshop.shown({"--set", "model.chat_template=" + name});
  };
  EXPECT_EQ(with("auto"), "two:u=Hi;a=Yo;");
  EXPECT_EQ(with("rag"), "three:u=Hi;a=Yo;");
  EXPECT_EQ(with("default"), "one:u=Hi;a=Yo;");  // tools or not
  EXPECT_EQ(with("tool-use"),
            "inlay: tool-use: there is no such file, nor a chat template of the model by this name "
            "(did you mean \"tool_use\"?); it has \"default\", \"rag\", \"tool_use\"; those "
            "that need no model are chatml, qwen3, llama2, llama3, mistral, gemma, phi3, phi4, "
            "zephyr, granite, olmo2, exaone4, glm4, command-r, gpt-oss, nanochat, nemotron, "
            "vicuna, alpaca\n");
  workshop.write("rag", named("file"));
  EXPECT_EQ(with("rag"), "file:u=Hi;a=Yo;");  // a file comes before a name
}

TEST(ChatTemplates, FindEverySpecialTokenByItsName) {
  const ChatWorkshop workshop;
  workshop.write("tok/config.json", R"({"bos_token_id": 0, "model_type": "llama"})");
  workshop.set_config({{"bos_token", nullptr},
                       {"eos_token", {{"__type", "AddedToken"}, {"content", "<|im_end|>"}}},
                       {"image_token", "IMG"},
                       {"extra_special_tokens", {{"think_token", "THINK"}}},
                       {"chat_template",
                        "{{ bos_token }}{{ image_token }},{{ think_token }},"
                        "{{ sep_token is defined }},{{ eos_token }}"
                        "{% for m in messages %}{% generation %}{{ m.content }}"
                        "{% endgeneration %}{% endfor %}"}});
  EXPECT_EQ(workshop.shown(), "IMG,THINK,False,<|im_end|>HiYo");
}

TEST(ChatTemplateDate, IsThatOfTheRunAndWrittenDown) {
  const ChatWorkshop workshop;
  workshop.set_config({{"chat_template", "{{ strftime_now('%d %b %Y') }}" + named("")}});
  EXPECT_EQ(workshop.shown({"--date", "2024-07-26"}), "26 Jul 2024:u=Hi;a=Yo;");
  EXPECT_EQ(workshop.shown({"--set", "model.template_date=2020-02-29T12:00:00"}),
            "29 Feb 2020:u=Hi;a=Yo;");
  EXPECT_EQ(workshop.shown({"--date", "26 July"}),
            "inlay: --date: \"26 July\" is not a date: expected 2025-01-31 or "
            "2025-01-31T12:30:00\n");
  EXPECT_EQ(workshop.run("train chat.json --set model.template_date=2024-13-01").exit_code, 2);

  ASSERT_EQ(workshop.run("train chat.json").exit_code, 0);
  const std::string adapter = workshop.read("out/adapter/adapter_model.safetensors");
  const auto config = workshop.read_json("out/config.resolved.json");
  const std::string date = config["model"]["template_date"];
  // A second later, the clock would say another date, and the runs would not be the same.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  workshop.write("out/checkpoints/last", "step-1\n");
  const Finished resumed = workshop.run("train chat.json --resume");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(workshop.read_json("out/config.resolved.json")["model"]["template_date"], date);
  EXPECT_EQ(workshop.read("out/adapter/adapter_model.safetensors"), adapter);
  const Finished other =
      workshop.run("train chat.json --resume --set model.template_date=2020-01-01");
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.err.find("/model/template_date"), std::string::npos) << other.err;
}

TEST(ChatTemplateDate, IsNotWrittenDownWhereNoTemplateReadsIt) {
  const ChatWorkshop workshop;
  workshop.set_config({{"chat_template", named("x")}});
  ASSERT_EQ(workshop.run("train chat.json").exit_code, 0);
  EXPECT_EQ(workshop.read_json("out/config.resolved.json")["model"]["template_date"], nullptr);
}

TEST(ChatTemplates, GoAlongWithMergedAndTrainedModels) {
  const Workshop workshop;
  const std::vector<std::pair<std::string, std::string>> files = {
      {"chat_template.jinja", "one"},
      {"chat_template.json", R"({"chat_template": "old"})"},
      {"tokenizer_config.json", R"({"chat_template": "two"})"},
      {"additional_chat_templates/tool_use.jinja", "three"},
      {"additional_chat_templates/rag.jinja", "four"}};
  for (const auto& [name, text] : files) {
    workshop.write("model/" + name, text);
  }
  const Finished merged = workshop.run("merge --model model --adapter adapter --out merged");
  ASSERT_EQ(merged.exit_code, 0) << merged.err;
  workshop.write("full.json", run_json({{"/peft", nullptr}}));
  const Finished trained = workshop.run("train full.json");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  for (const auto& [name, text] : files) {
    EXPECT_EQ(workshop.read("merged/" + name), text) << name;
    EXPECT_EQ(workshop.read("out/model/" + name), text) << name;
  }
}

TEST(NamedChatTemplates, AreOursWhereTheModelHasNone) {
  const ChatWorkshop workshop;
  const auto rows = [&](const std::string& name) {
    const Finished finished = workshop.run({"tokenize", "--tokenizer", "tok", "--chat", "--file",
                                            "chat.jsonl", "--chat-template", name});
    return finished.out + finished.err;
  };
  EXPECT_EQ(rows("chatml"),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n\n");
  EXPECT_EQ(rows("phi4"), "<|user|>Hi<|end|><|assistant|>Yo<|end|>\n");
  // The model's own of that name comes first.
  workshop.set_config({{"chat_template",
                        {{{"name", "default"}, {"template", named("one")}},
                         {{"name", "chatml"}, {"template", named("own")}}}}});
  EXPECT_EQ(rows("chatml"), "own:u=Hi;a=Yo;\n");
}

TEST(TokenizeChat, PrintsConversationsAsTheTemplateWritesThem) {
  const ChatWorkshop workshop;
  const auto rendered = [&](const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"tokenize", "--tokenizer", "tok",   "--chat",
                                          "--file",   "chat.jsonl",  "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Finished finished = workshop.run(arguments);
    return finished.exit_code == 0 ? Json::parse(finished.out) : Json(finished.err);
  };
  const Json whole = rendered({"--chat-template", "qwen3"});
  EXPECT_EQ(whole["text"], "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n");
  EXPECT_EQ(whole["trained"], Json::array({"Yo<|im_end|>"}));
  workshop.set_row(R"(, "chat_template_kwargs": {"enable_thinking": false})");
  EXPECT_EQ(rendered({"--chat-template", "qwen3", "--train-on-thinking", "own"})["trained"],
            Json::array({"Yo<|im_end|>"}));
  EXPECT_EQ(rendered({"--chat-template", "chatml", "--prompt"})["text"],
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo");
  EXPECT_EQ(rendered({}),
            "inlay: tok: this tokenizer has no chat template (see --chat-template)\n");
}

}  // namespace
}  // namespace inlay
