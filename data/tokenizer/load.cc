// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/load.h"

#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/gguf.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/json_loader.h"
#include "data/tokenizer/sentence_loader.h"
#include "data/tokenizer/special_tokens.h"
#include "data/tokenizer/template_files.h"

namespace inlay {
namespace {

std::string find_tokenizer_json(const std::string& path) {
  if (!exists(path)) {
    throw IoError(str(path, ": there is no such tokenizer file or folder"));
  }
  if (!is_directory(path)) {
    return path;
  }
  std::string file = join_path(path, "tokenizer.json");
  if (!is_file(file)) {
    throw DataError(
        str(path, ": there is no tokenizer.json and no tokenizer.model in this directory"));
  }
  return file;
}

Tokenizer tokenizer_of_sentence_model(const std::string& directory, const std::string& file) {
  SentenceTokenizer loaded = load_sentence_tokenizer(directory, file);
  TokenizerParts& parts = loaded.parts;
  read_special_tokens(directory, parts, loaded.defaults);
  for (const auto& [name, text] : loaded.defaults.named) {
    parts.template_tokens.emplace(name, text);
  }
  read_template_files(directory, parts);
  return Tokenizer(std::move(parts));
}

}  // namespace

Tokenizer load_tokenizer(const std::string& path) {
  if (path == "bytes") {
    return byte_tokenizer();
  }
  if (path.ends_with(".gguf")) {
    return tokenizer_from_gguf(read_gguf_tokenizer(GgufFile(path)), path);
  }
  if (is_directory(path) && !is_file(join_path(path, "tokenizer.json"))) {
    if (const auto model = find_sentence_model(path)) {
      return tokenizer_of_sentence_model(path, *model);
    }
  }
  if (path.ends_with(".model") && is_file(path)) {
    return tokenizer_of_sentence_model(parent_path(path), path);
  }
  const std::string file = find_tokenizer_json(path);
  const nlohmann::json json = read_json(file);
  TokenizerParts parts = parts_from_json(JsonView(json, file));
  read_special_tokens(parent_path(file), parts);
  read_template_files(parent_path(file), parts);
  return Tokenizer(std::move(parts));
}

bool has_tokenizer(const std::string& directory) {
  return is_file(join_path(directory, "tokenizer.json")) || find_sentence_model(directory);
}

Tokenizer byte_tokenizer() {
  TokenizerParts parts;
  for (int byte = 0; byte < 256; ++byte) {
    parts.vocabulary.add(byte_letter(static_cast<u8>(byte)), byte);
  }
  parts.model = std::make_unique<ByteLevelBpe>(parts.vocabulary, BpeOptions{});
  parts.decoder = std::make_unique<ByteLevelDecoder>();
  return Tokenizer(std::move(parts));
}

}  // namespace inlay
