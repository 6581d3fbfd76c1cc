// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/json_loader.h"

#include <utility>

#include "core/config/json.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/load.h"

namespace inlay {
namespace {

void read_vocabulary(const JsonView& json, Vocabulary& vocabulary) {
  vocabulary.reserve(json.size());
  json.each_member([&](const std::string& piece, const JsonView& id) {
    const i64 number = id.integer();
    json.blame([&] { vocabulary.add(piece, number); });
  });
}

/// A merge is "left right", or ["left", "right"] in newer files.
void read_merge(const JsonView& json, const Vocabulary& vocabulary, ByteLevelBpe& bpe) {
  std::string_view left;
  std::string_view right;
  if (json.is_string()) {
    const std::string_view both = json.string();
    if (both.starts_with("#version")) {
      return;  // the first line of the file the merges were once read from
    }
    const auto blank = both.find(' ');
    if (blank == std::string_view::npos || both.find(' ', blank + 1) != std::string_view::npos) {
      json.fail(str("\"", printable(both), "\" is not two pieces with a blank between"));
    }
    left = both.substr(0, blank);
    right = both.substr(blank + 1);
  } else {
    const nlohmann::json& pair = json.json();
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
      json.fail("expected a string or an array of two");
    }
    left = pair[0].get_ref<const std::string&>();
    right = pair[1].get_ref<const std::string&>();
  }
  json.blame([&] { bpe.add_merge(vocabulary, left, right); });
}

/// Refuses the options of BPE that byte-level vocabularies do without.
void check_bpe_options(const JsonView& model) {
  if (const auto dropout = model.find("dropout"); dropout && dropout->json() != 0.0) {
    dropout->fail("dropout makes encoding random and is not supported; it must be null");
  }
  for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto value = model.find(affix); value && !value->string().empty()) {
      value->fail("is not supported; it must be null");
    }
  }
  if (model.boolean_or("byte_fallback", false)) {
    model.at("byte_fallback").fail("byte fallback is not supported; byte-level BPE does without");
  }
}

void read_model(const JsonView& model, TokenizerParts& parts) {
  // GPT-2's own file is older than the key "type".
  if (const std::string type = model.string_or("type", "BPE"); type != "BPE") {
    model.at("type").fail(str("\"", printable(type), "\" is not supported; supported is BPE"));
  }
  check_bpe_options(model);
  read_vocabulary(model.at("vocab"), parts.vocabulary);
  const auto unk = model.find("unk_token");
  parts.unk_id = unk ? parts.vocabulary.find(unk->string()) : std::nullopt;
  auto bpe = std::make_unique<ByteLevelBpe>(
      parts.vocabulary, BpeOptions{.unk_id = parts.unk_id,
                                   .fuse_unk = model.boolean_or("fuse_unk", false),
                                   .ignore_merges = model.boolean_or("ignore_merges", false)});
  if (unk && !parts.unk_id && bpe->missing_byte()) {
    unk->fail(str("\"", printable(unk->string()), "\" is not in the vocabulary"));
  }
  const JsonView merges = model.at("merges");
  bpe->reserve(merges.size());
  merges.each_element([&](const JsonView& merge) { read_merge(merge, parts.vocabulary, *bpe); });
  parts.model = std::move(bpe);
}

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

TokenizerParts parts_from_json(const JsonView& root) {
  if (const std::string version = root.string_or("version", "1.0"); version != "1.0") {
    root.at("version").fail(str("\"", printable(version), "\" is not supported; it must be 1.0"));
  }
  TokenizerParts parts;
  parts.normalizer = normalizer_from_json(root);
  parts.pre_tokenizer = pre_tokenizer_from_json(root);
  parts.decoder = decoder_from_json(root);
  read_model(root.at("model"), parts);
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
