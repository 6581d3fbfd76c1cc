// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "data/tokenizer/load.h"
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

}  // namespace

int run_tokenize(std::span<const std::string> arguments) {
  std::string model;
  std::string path;
  std::string text;
  std::string file;
  bool json = false;
  bool no_special = false;
  Arguments args("inlay tokenize", "Prints the token ids and pieces of a text.");
  args.option("-m,--model", model, "a model whose tokenizer to use")
      .option("--tokenizer", path, "a tokenizer folder, tokenizer.json or .gguf file, or \"bytes\"")
      .option("--file", file, "read the text from a file; with --json a JSON array of strings")
      .flag("--no-special", no_special, "add no special tokens around the text")
      .flag("--json", json, "print [{\"text\", \"ids\", \"decoded\"}]")
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
  const Tokenizer tokenizer = load_tokenizer(model.empty() ? path : resolve_model_path(model));
  for (const std::string& note : tokenizer.notes()) {
    print_notice(note);
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
