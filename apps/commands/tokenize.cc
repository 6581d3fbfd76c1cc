// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "data/dataset/chat_row.h"
#include "data/dataset/row_encoder.h"
#include "data/dataset/row_format.h"
#include "data/dataset/row_reader.h"
#include "data/tokenizer/load.h"
#include "finetune/chat_template_choice.h"
#include "finetune/model_cache.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMaxTextBytes = i64{1} << 30;

// The texts of a file: with --json a JSON array of strings, else the file itself.
std::vector<std::string> texts_of(const std::string& file, bool json) {
  const std::string content = file_system().read(file, kMaxTextBytes);
  if (!json) {
    return {content};
  }
  const nlohmann::json array = parse_json(content, file);
  std::vector<std::string> texts;
  if (!array.is_array()) {
    throw DataError(str(file, ": expected a JSON array of strings"));
  }
  for (const nlohmann::json& text : array) {
    if (!text.is_string()) {
      throw DataError(str(file, ": entry ", texts.size(), ": expected a string, found ",
                          printable(text.dump())));
    }
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

void print_text(const Tokenizer& tokenizer, const std::vector<i32>& ids) {
  for (const i32 id : ids) {
    std::printf("%6d  %s\n", id, printable(tokenizer.piece(id)).c_str());
  }
}

// What one row of a conversation becomes.
struct Rendered {
  RowText row;
  std::vector<i32> ids;
};

// The text as it is encoded: without the marks that keep letters of the data apart from tokens.
std::string shown_text(const RowText& row) {
  std::string text = row.text;
  for (std::size_t at = text.find(kControlMark); row.spells_control && at != std::string::npos;
       at = text.find(kControlMark, at)) {
    text.erase(at, kControlMark.size());
  }
  return text;
}

// Rows of messages through a chat template.
class Renderer {
 public:
  Renderer(const Tokenizer& tokenizer, const ChatTemplate& chat, const ChatRowOptions& options)
      : loss_(options.loss),
        control_(tokenizer),
        chat_(chat, control_, options),
        encoder_(tokenizer, true) {}

  Rendered learnt(const Json& row) {
    const RowFormat* format = judge_row_format(row);
    if (format->messages == RowFormat::Messages::kNever) {
      throw DataError(str("a row of format ", format->name, " has no messages"));
    }
    return encoded(format->read_text(row, {.loss = loss_, .chat = &chat_}));
  }
  Rendered prompt(const Json& row) { return encoded(chat_.prompt(row)); }

 private:
  Rendered encoded(RowText row) {
    std::vector<i32> ids = encoder_.encode(row).ids;
    return {std::move(row), std::move(ids)};
  }

  LossOptions loss_;
  ControlText control_;
  ChatRowReader chat_;
  RowEncoder encoder_;
};

Json as_json(const Rendered& rendered) {
  Json out = {{"text", shown_text(rendered.row)}, {"ids", rendered.ids}};
  if (rendered.row.learnt && !rendered.row.spells_control) {
    out["trained"] = Json::array();
    for (const ByteRange& range : *rendered.row.learnt) {
      out["trained"].push_back(rendered.row.text.substr(range.begin, range.end - range.begin));
    }
  }
  return out;
}

// --chat: every row of `file`, a line of JSON each.
void render_rows(const std::string& file, Renderer& renderer, bool prompt, bool json) {
  const auto rows = open_rows(file);
  while (const auto raw = rows->next()) {
    try {
      const Json row = parse_ordered_json(raw->text, file, {.first_line = raw->line});
      const Rendered rendered = prompt ? renderer.prompt(row) : renderer.learnt(row);
      const std::string line =
          json ? as_json(rendered).dump(-1, ' ', false, Json::error_handler_t::replace)
               : shown_text(rendered.row);
      std::puts(line.c_str());
    } catch (const DataError& error) {
      throw DataError(str(file, ": line ", raw->line, ": ", error.what()));
    }
  }
}

}  // namespace

int run_tokenize(std::span<const std::string> arguments) {
  std::string model;
  std::string path;
  std::string text;
  std::string file;
  bool json = false;
  bool no_special = false;
  bool chat = false;
  bool prompt = false;
  std::string chat_template = "auto";
  std::string date;
  TrainThinking thinking = TrainThinking::kAll;
  Arguments args("inlay tokenize",
                 "Prints the token ids and pieces of a text, or conversations as a chat template "
                 "writes them.");
  args.option("-m,--model", model, "a model whose tokenizer to use")
      .option("--tokenizer", path,
              "a tokenizer folder, a tokenizer.json, tokenizer.model or .gguf file, or \"bytes\"")
      .option("--file", file, "read the text from a file; with --json a JSON array of strings")
      .flag("--no-special", no_special, "add no special tokens around the text")
      .flag("--json", json, "print [{\"text\", \"ids\", \"decoded\"}]")
      .flag("--chat", chat,
            "print the texts of the file's rows of messages; with --json a line of {\"text\", "
            "\"ids\", \"trained\"} a row")
      .flag("--prompt", prompt,
            "with --chat: up to where the model would answer, or go on with the last answer")
      .option("--chat-template", chat_template,
              "one of the tokenizer's chat templates by its name, one of ours (chatml, llama3 "
              "...), or a file")
      .choice("--train-on-thinking", thinking,
              "the same as data.train_on_thinking: all, own (not what the template adds) or none")
      .option("--date", date,
              "day (2025-01-31, or with T12:30:00) that the template prints (default: today)")
      .positional("TEXT", text, "the text", false);
  if (!args.parse(arguments)) {
    return 0;
  }
  if (model.empty() == path.empty()) {
    throw ConfigError("tokenize: give one of --model and --tokenizer");
  }
  if (text.empty() == file.empty()) {
    throw ConfigError("tokenize: give one of TEXT and --file");
  }
  if (chat && file.empty()) {
    throw ConfigError("tokenize: --chat wants rows of messages: a JSONL file by --file");
  }
  if (prompt && !chat) {
    throw ConfigError("tokenize: --prompt is for conversations: it needs --chat");
  }
  if (!date.empty()) {
    require_date("--date", date);
  }
  const std::string source = model.empty() ? path : resolve_model_path(model);
  const Tokenizer tokenizer = load_tokenizer(source);
  for (const std::string& note : tokenizer.notes()) {
    print_notice(note);
  }
  if (chat) {
    const auto chosen = choose_chat_template(chat_template, tokenizer, source);
    if (!chosen) {
      throw ConfigError(str(source, ": this tokenizer has no chat template (see --chat-template)"));
    }
    ChatRowOptions options;
    options.loss.thinking = thinking;
    options.now = date.empty() ? CivilTime::now() : CivilTime::parse(date);
    Renderer renderer(tokenizer, *chosen, options);
    render_rows(file, renderer, prompt, json);
    return 0;
  }
  const std::vector<std::string> texts =
      file.empty() ? std::vector<std::string>{text} : texts_of(file, json);
  Json out = Json::array();
  for (const std::string& t : texts) {
    const std::vector<i32> ids = tokenizer.encode(t, {.add_special_tokens = !no_special});
    if (json) {
      out.push_back({{"text", t}, {"ids", ids}, {"decoded", tokenizer.decode(ids)}});
    } else {
      print_text(tokenizer, ids);
    }
  }
  if (json) {
    std::puts(out.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  }
  return 0;
}

}  // namespace inlay
