// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/json_loader.h"

#include <utility>

#include "core/config/json.h"
#include "data/tokenizer/load.h"

namespace inlay {
namespace {

AddedToken read_added_token(const JsonView& json) {
  AddedToken token{.content = json.at("content").string(),
                   .single_word = json.at("single_word").boolean(),
                   .lstrip = json.at("lstrip").boolean(),
                   .rstrip = json.at("rstrip").boolean(),
                   .normalized = json.at("normalized").boolean(),
                   .special = json.at("special").boolean()};
  const i64 id = json.at("id").integer();
  if (id < 0 || id > INT32_MAX) {
    json.fail(str("id ", id, " is out of range"));
  }
  token.id = static_cast<i32>(id);
  return token;
}

/// Other readers number added tokens in order, whatever the file says (AddedVocabulary), and so it
/// is done here, with a note.
void read_added_tokens(const JsonView& json, TokenizerParts& parts) {
  json.each_element([&](const JsonView& element) {
    const AddedToken token = read_added_token(element);
    const auto id = element.blame([&] { return parts.added.add(token, parts.vocabulary); });
    if (id && *id != token.id) {
      parts.notes.push_back(str(element.path(), ": token \"", printable(token.content),
                                "\" has id ", token.id, ", but as in other readers it gets ", *id));
    }
  });
  parts.added_tokens = AddedTokens(parts.added.tokens(), parts.normalizer);
}

}  // namespace

void refuse_type(const JsonView& json, std::string_view supported) {
  const JsonView type = json.at("type");
  type.fail(str("\"", printable(type.string()), "\" is not supported; supported are ", supported));
}

TokenizerParts parts_from_json(const JsonView& root) {
  if (const std::string version = root.string_or("version", "1.0"); version != "1.0") {
    root.at("version").fail(str("\"", printable(version), "\" is not supported; it must be 1.0"));
  }
  TokenizerParts parts;
  parts.normalizer = normalizer_from_json(root);
  pre_tokenizer_from_json(root, parts);
  parts.decoder = decoder_from_json(root, parts.is_byte_level);
  model_from_json(root, parts);
  parts.added = AddedVocabulary(parts.vocabulary.size());
  if (const auto added = root.find("added_tokens")) {
    read_added_tokens(*added, parts);
  }
  post_processor_from_json(root, parts);
  return parts;
}

Tokenizer tokenizer_from_json(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  return Tokenizer(parts_from_json(JsonView(json, file)));
}

}  // namespace inlay
