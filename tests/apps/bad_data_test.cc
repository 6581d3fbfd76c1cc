// SPDX-License-Identifier: Apache-2.0

// Rows, templates, tokenizers and adapters that cannot be used, through the real command: exit code
// 4 and one sentence with file and line or JSON path.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/apps/workshop.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

TEST(BadData, NamesTheLineOfARow) {
  const std::string good = R"({"prompt": "a", "completion": "b"})"
                           "\n";
  struct Case {
    std::string rows, sentence;  // behind "rows.jsonl: "
    Changes changes = {};
  };
  const Case cases[] = {
      {good + "\n{\"prompt\": \"a\",}\n",
       "line 3, column 16: syntax error while parsing object key - unexpected '}'; expected string "
       "literal"},
      {good + R"({"prompt": "a", "completion": 3})",
       "line 2: /completion: must be a string, not number"},
      {good + R"({"prompt": "a", "completion": null})",
       "line 2: /completion: must be a string, not null"},
      {good + R"({"prompt": "a"})",
       R"(line 2: format prompt_completion needs a column "completion", but the row has the )"
       R"(columns "prompt")"},
      {good + R"({"text": "a"})",
       R"(line 2: format prompt_completion needs a column "prompt", but the row has the columns )"
       R"("text")"},
      {R"({"promt": "a", "completion": "b"})",
       R"(line 1: the row has the columns "promt", "completion", which fit no format (did you )"
       R"(mean "prompt" by "promt"?); needed are for text: "text"; prompt_completion: "prompt", )"
       R"("completion"; messages: "messages"; alpaca: "instruction", "output"; )"
       R"(sharegpt: "conversations"; tokens: "input_ids")"},
      {R"({"text": "a", "prompt": "a", "completion": "b"})",
       R"(line 1: the row has the columns "text", "prompt", "completion", which fit more than one )"
       R"(format: text and prompt_completion; say which by "format")"},
      {good,
       R"(line 1: format text needs a column "text", but the row has the columns "prompt", )"
       R"("completion")",
       {{"/data/format", "text"}}},
      {"", "there are no rows in it"},
      {"\n \n", "there are no rows in it"},
      {"3\n", "line 1: a row must be an object, not number"},
      {"[{\"text\": \"ab\"},", "line 1: the array that begins here does not end"},
      {good + "{\"prompt\": \"a\", \"completion\": \"\xFF\"}\n",
       "line 2, column 32: syntax error while parsing value - invalid string: ill-formed UTF-8 "
       "byte"},
      {R"({"text": ""})", "line 1: /text: is empty"},
      {R"({"text": "a"})",
       "line 1: nothing to learn: of 1 token none behind the first is to be "
       "learnt"},
      {R"({"prompt": "aaaaaaaaaa", "completion": "b"})",
       "line 1: nothing to learn within max_length 8: the first 10 of 11 tokens are prompt",
       {{"/data/max_length", 8}}},
      {R"({"prompt": "a", "completion": "bbbbbbbbbb"})",
       R"(line 1: the row has 11 tokens, more than max_length 8 (truncation "error"))",
       {{"/data/max_length", 8}, {"/data/truncation", "error"}}},
      {R"({"input_ids": [1, 2, 256]})",
       "line 1: /input_ids/2: must be a token id from 0 to 255, not 256"},
      {R"({"input_ids": [1, -2]})",
       "line 1: /input_ids/1: must be a token id from 0 to 255, not "
       "-2"},
      {R"({"input_ids": [1, 2.5]})",
       "line 1: /input_ids/1: must be a token id from 0 to 255, not 2.5"},
      {R"({"input_ids": []})", "line 1: /input_ids: is empty"},
      {R"({"input_ids": "12"})", "line 1: /input_ids: must be a list of token ids, not string"},
      {R"({"input_ids": [1, 2], "labels": [1]})",
       "line 1: /labels: there must be as many as input_ids (2), not 1"},
      {R"({"input_ids": [1, 2], "labels": [-100, -100]})",
       "line 1: nothing to learn: of 2 tokens none behind the first is to be learnt"},
      {R"({"input_ids": [1, 2], "attention_mask": [1, 0]})",
       "line 1: /attention_mask: hides tokens, which is not supported; leave out padding instead"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    workshop.write("rows.jsonl", c.rows);
    workshop.write("run.json", run_json(c.changes));
    workshop.expect_refused("data show run.json", kData, "rows.jsonl: " + c.sentence);
  }
}

TEST(BadData, NamesTheMessageOrTheTemplate) {
  const std::string chat =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  struct Case {
    std::string rows, chat_template, sentence;
  };
  const std::string good = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
  const Case cases[] = {
      {R"({"messages": []})", good,
       "rows.jsonl: line 1: /messages: must be a list of messages, not an empty one"},
      {R"({"messages": "hi"})", good,
       "rows.jsonl: line 1: /messages: must be a list of messages, not string"},
      {R"({"messages": [{"rol": "user", "content": "a"}]})", good,
       R"(rows.jsonl: line 1: /messages/0: a message needs a "role" that is a string)"},
      {R"({"messages": [{"role": "user", "content": "a"}]})", good,
       R"(rows.jsonl: line 1: nothing to learn: no message has the role "assistant" (there are )"
       R"("user"))"},
      {chat, "{% for m in messages %}{{ m.role }", R"(chat.jinja: line 1: "}" closes no bracket)"},
      {chat, "{{ raise_exception('no roles allowed') }}",
       "rows.jsonl: line 1: chat.jinja: line 1: the template refuses this conversation: no roles "
       "allowed"},
      {chat, "{% for i in range(1000000000) %}{{ i }}{% endfor %}",
       "rows.jsonl: line 1: chat.jinja: line 1: range: more than 100000 numbers"},
  };
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/model/chat_template", "chat.jinja"}}));
  for (const Case& c : cases) {
    workshop.write("rows.jsonl", c.rows);
    workshop.write("chat.jinja", c.chat_template);
    workshop.expect_refused("data show run.json", kData, c.sentence);
  }
  workshop.write("run.json", run_json({}));
  workshop.expect_refused("data show run.json", kData,
                          "rows.jsonl: line 1: the row has messages, but the tokenizer has no chat "
                          "template to put them in");
}

TEST(BadData, OtherFormatsAreNamedAsSuch) {
  const Workshop workshop;
  workshop.write("rows.csv", "prompt,completion\na,b\n");
  workshop.expect_refused("data show run.json --set data.train=rows.csv", kData,
                          "rows.csv: rows are read from JSON lines, a JSON array or a .txt file, "
                          "not from .csv");
  workshop.write("rows.parquet", "PAR1");
  workshop.expect_refused("eval -m model --tokenizer bytes -d rows.parquet", kData,
                          "rows.parquet: the file is a Parquet table: write its rows as JSON lines "
                          "first, as Dataset.to_json of Python's datasets does");
  workshop.write("rows.arrow", "rows");
  workshop.expect_refused("eval -m model --tokenizer bytes -d rows.arrow", kData,
                          "rows.arrow: rows are read from JSON lines, a JSON array or a .txt file, "
                          "not from .arrow");
  workshop.expect_refused("eval -m model -d rows.jsonl", kData,
                          "rows.jsonl: rows of format prompt_completion need a tokenizer; without "
                          "one only rows of tokens can be read");
}

TEST(BadTokenizer, NamesThePlaceInTheFile) {
  const Workshop workshop;
  const Json good = Json::parse(std::ifstream(golden("tokenizers/smollm_style/tokenizer.json")));
  struct Case {
    std::string pointer;
    Json value;
    std::string sentence;  // behind "tokenizer.json: "
  };
  const Case cases[] = {
      {"/model/type", "WordPiece",
       R"(/model/type: "WordPiece" is not supported; supported are BPE and Unigram)"},
      {"/pre_tokenizer",
       {{"type", "UnicodeScripts"}},
       R"(/pre_tokenizer/type: "UnicodeScripts" is not supported; supported are ByteLevel, …)"},
      {"/decoder",
       {{"type", "WordPiece"}},
       R"(/decoder/type: "WordPiece" is not supported; supported are ByteLevel, …)"},
      {"/normalizer",
       {{"type", "BertNormalizer"}},
       R"(/normalizer/type: "BertNormalizer" is not supported; supported are NFC, …)"},
      {"/version", "2.0", R"(/version: "2.0" is not supported; it must be 1.0)"},
      {"/model/merges/0", "h xx",
       R"(/model/merges/0: merges "h" and "xx", but "xx" is not in the vocabulary)"},
      {"/model/merges/0", "abc",
       R"(/model/merges/0: "abc" is not two pieces with a blank between)"},
      {"/model/vocab/zzzz", 3, R"(/model/vocab: id 3 is given to both …)"},
      {"/model/vocab/zzzz", -1,
       R"(/model/vocab: token "zzzz" has id -1; ids are from 0 to 8388607)"},
      {"/model/vocab/zzzz", "1", "/model/vocab/zzzz: expected an integer, found string"},
  };
  for (const Case& c : cases) {
    Json json = good;
    json[Json::json_pointer(c.pointer)] = c.value;
    workshop.write("tokenizer.json", json.dump());
    workshop.expect_refused("tokenize --tokenizer tokenizer.json hi", kData,
                            "tokenizer.json: " + c.sentence);
  }
  workshop.write("tokenizer.json", "{\"model\": ");
  workshop.expect_refused("tokenize --tokenizer tokenizer.json hi", kData,
                          "tokenizer.json: line 1, column 11: syntax error while parsing value - "
                          "unexpected end of input; expected '[', '{', or a literal");
  workshop.write("tokenizer.json", "[]");
  workshop.expect_refused("tokenize --tokenizer tokenizer.json hi", kData,
                          "tokenizer.json: expected an object, found array");
  workshop.expect_refused(
      "tokenize --tokenizer model hi", kData,
      "model: there is no tokenizer.json and no tokenizer.model in this directory");
}

class BadAdapter : public ::testing::Test {
 protected:
  static constexpr const char* kFirst =
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
  static constexpr const char* kLast =
      "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";

  void expect(const std::string& sentence) const {
    workshop_.expect_refused(
        "generate -m model --tokenizer bytes -a adapter --prompt x --max-new-tokens 1", kData,
        sentence);
  }
  void write_config(const std::string& key, const Json& value) const {
    Json config = config_;
    config[key] = value;
    workshop_.write("adapter/adapter_config.json", config.dump());
  }
  template <class Change>
  void write_tensors(const Change& change) const {
    auto [header, data] = split_safetensors(tensors_);
    change(header, data);
    workshop_.write("adapter/adapter_model.safetensors", join_safetensors(header.dump(), data));
  }

  Workshop workshop_;
  const Json config_ = workshop_.read_json("adapter/adapter_config.json");
  const std::string tensors_ = workshop_.read("adapter/adapter_model.safetensors");
};

TEST_F(BadAdapter, NamesTheKeyOfItsConfig) {
  struct Case {
    std::string key;
    Json value;
    std::string sentence;  // behind "adapter/adapter_config.json: "
  };
  const Case cases[] = {
      {"peft_type", "IA3", R"(/peft_type: expected "LORA", found "IA3")"},
      {"use_magic", true, "/use_magic: unknown key"},
      {"bias", "some",
       R"(/bias: expected "none", "all" or "lora_only", found "some" (did you mean "none"?))"},
      {"init_lora_weights", "pissa",
       R"(/init_lora_weights: "pissa" changed the base's weights when the training began, and )"
       "the adapter fits only the changed ones: save it from PEFT as a plain LoRA adapter "
       "(save_pretrained with path_initial_model_for_weight_conversion), or merge it there"},
      {"r", 0, "/r: expected an integer from 1 to 1024, found 0"},
      {"r", "8", R"(/r: expected an integer from 1 to 1024, found "8")"},
      {"target_modules",
       {"query"},
       R"(/target_modules: "query" matches no module of this model; it has embed_tokens, q_proj, )"
       "k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head"},
  };
  for (const Case& c : cases) {
    write_config(c.key, c.value);
    expect("adapter/adapter_config.json: " + c.sentence);
  }
  workshop_.write("adapter/adapter_config.json", "{");
  expect(
      "adapter/adapter_config.json: line 1, column 2: syntax error while parsing object key - "
      "unexpected end of input; expected string literal");
}

TEST_F(BadAdapter, NamesTheTensorThatDoesNotFit) {
  const std::string file = "adapter/adapter_model.safetensors: \"" + std::string(kFirst) + "\": ";
  write_tensors([](Json& header, std::string&) { header[kFirst]["shape"] = {32, 4}; });
  expect(file + "expected [4, 32] f32, bf16 or f16, found [32, 4] f32");
  write_tensors([](Json& header, std::string&) { header[kFirst]["dtype"] = "I32"; });
  expect(file + "expected [4, 32] f32, bf16 or f16, found [4, 32] i32");
  write_tensors([](Json& header, std::string&) {
    header["base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"] = header[kFirst];
    header.erase(kFirst);
  });
  expect(
      "adapter: no place in this model for 1 tensor of the adapter: "
      "base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight");
  write_tensors([](Json& header, std::string& data) {
    data.resize(header[kLast]["data_offsets"][0].get<std::size_t>());
    header.erase(kLast);
  });
  expect(
      "adapter: the adapter lacks 1 tensor that its adapter_config.json calls for: "
      "model.layers.1.self_attn.q_proj.lora_B.weight");
  write_tensors([](Json& header, std::string& data) {
    const std::size_t size = data.size();
    header["model.layers.0.self_attn.q_proj.lora_A.weight"] = {
        {"dtype", "F32"}, {"shape", {4, 32}}, {"data_offsets", {size, size + 512}}};
    data.append(512, '\0');
  });
  expect("adapter: \"" + std::string(kFirst) +
         "\" and \"model.layers.0.self_attn.q_proj.lora_A.weight\" are two names of one tensor");
}

TEST_F(BadAdapter, NamesWhatItsConfigCallsFor) {
  write_config("target_modules", {"q_proj", "v_proj"});
  expect(
      "adapter: the adapter lacks 4 tensors that its adapter_config.json calls for: "
      "model.layers.0.self_attn.v_proj.lora_A.weight, "
      "model.layers.0.self_attn.v_proj.lora_B.weight, "
      "model.layers.1.self_attn.v_proj.lora_A.weight, "
      "model.layers.1.self_attn.v_proj.lora_B.weight");
  write_config("r", 8);
  expect("adapter/adapter_model.safetensors: \"" + std::string(kFirst) +
         "\": expected [8, 32] f32, bf16 or f16, found [4, 32] f32");
  write_config("use_dora", true);
  expect(
      "adapter: the adapter lacks 2 tensors that its adapter_config.json calls for: "
      "model.layers.0.self_attn.q_proj.lora_magnitude_vector, "
      "model.layers.1.self_attn.q_proj.lora_magnitude_vector");
}

TEST_F(BadAdapter, NamesAFolderThatIsNone) {
  const std::string command = "generate -m model --tokenizer bytes --prompt x -a ";
  workshop_.expect_refused(command + "none", kData, "none: there is no such adapter folder");
  workshop_.expect_refused(command + "model", kData,
                           "model: not an adapter folder: it has no adapter_config.json");
  workshop_.expect_refused(command + "adapter@zz", ExitCode::kUsage,
                           "--adapter adapter@zz: expected DIR or DIR@SCALE with a number as "
                           "scale");
  std::filesystem::remove(workshop_.path("adapter/adapter_model.safetensors"));
  expect(
      "adapter: neither adapter_model.safetensors nor adapter_model.safetensors.index.json is "
      "there");
}

}  // namespace
}  // namespace inlay
