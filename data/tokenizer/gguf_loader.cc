// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/io/gguf.h"
#include "data/text/utf8.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/character_bpe.h"
#include "data/tokenizer/gguf_pre_tokenizers.h"
#include "data/tokenizer/gguf_tokens.h"
#include "data/tokenizer/load.h"
#include "data/tokenizer/normalizer_steps.h"
#include "data/tokenizer/parts.h"
#include "data/tokenizer/scored_bpe.h"

namespace inlay {
namespace {

class GgufReader {
 public:
  GgufReader(const GgufTokenizerData& data, const std::string& file) : data_(data), file_(file) {}

  Tokenizer read() {
    bool adds_bos = true;  // where the file does not say
    if (data_.model == "gpt2") {
      const GgufPreTokenizer& pre = gguf_pre_tokenizer(data_.pre, file_);
      adds_bos = pre.add_bos;
      read_byte_level(pre);
    } else if (data_.model == "llama") {
      read_scored();
    } else if (data_.model == "gemma4") {
      read_gemma4();
    } else {
      fail("model", str("\"", printable(data_.model),
                        "\" is not supported; supported are gpt2, llama and gemma4"));
    }
    read_special_ids(adds_bos);
    parts_.chat_templates = data_.chat_templates;
    name_tokens();
    return Tokenizer(std::move(parts_));
  }

 private:
  [[noreturn]] void fail(std::string_view key, std::string_view message) const {
    throw DataError(str(file_, ": tokenizer.ggml.", key, ": ", message));
  }

  void note(std::string_view key, std::string_view message) {
    parts_.notes.push_back(str(file_, ": tokenizer.ggml.", key, ": ", message));
  }

  void read_tokens() {
    const i64 count = data_.tokens.size();
    parts_.vocabulary.reserve(count);
    bool repeated = false;
    for (i64 id = 0; id < count; ++id) {
      const std::string& piece = data_.tokens[id];
      at_element("tokens", id, [&] {
        check_utf8(piece, "the token");
        const auto earlier = parts_.vocabulary.find(piece);
        if (earlier && !piece.empty() && !repeated) {
          note("tokens", str("element ", id, ": \"", printable(piece), "\" is element ", *earlier,
                             " already; texts are encoded to the last of such elements"));
          repeated = true;
        }
        parts_.vocabulary.add_or_repeat(piece, id);
      });
    }
    add_control_tokens();
  }

  /// Those that never strip: they stand around texts, not within.
  static bool is_text_mark(std::string_view piece) {
    return piece == "<unk>" || piece == "<s>" || piece == "<|endoftext|>";
  }

  void add_control_tokens() {
    GgufTokenRoles roles = gguf_token_roles(data_, file_);
    std::vector<AddedToken> added;
    // Backwards, for of those with one text the first is found.
    for (i64 id = static_cast<i64>(data_.tokens.size()); id-- > 0;) {
      const GgufTokenKind kind = roles.kinds[id];
      if (kind != GgufTokenKind::kNormal && !data_.tokens[id].empty()) {
        added.push_back({.content = data_.tokens[id],
                         .id = static_cast<i32>(id),
                         .rstrip = kind == GgufTokenKind::kControl && data_.control_tokens_strip &&
                                   !is_text_mark(data_.tokens[id]),
                         .special = kind == GgufTokenKind::kControl});
      }
    }
    parts_.added_tokens = AddedTokens(std::move(added), parts_.normalizer);
    parts_.eos_ids = std::move(roles.end_ids);
    parts_.notes.insert(parts_.notes.end(), roles.notes.begin(), roles.notes.end());
  }

  void read_byte_level(const GgufPreTokenizer& pre) {
    if (data_.add_space_prefix.value_or(false)) {
      fail("add_space_prefix", "is true, which no tokenizer of model gpt2 follows");
    }
    for (const std::string_view pattern : pre.patterns) {
      parts_.pre_tokenizer.add_split(Regex(pattern), SplitBehavior::kIsolated);
    }
    if (pre.nfc) {
      parts_.normalizer.add(normalization_form(NormalizationForm::kC));
    }
    parts_.is_byte_level = true;
    parts_.decoder = std::make_unique<ByteLevelDecoder>();
    read_tokens();
    // Without unk: llama.cpp drops bytes that have no token, and so does the original of the model
    // that lacks some (SmolLM2), whatever tokenizer.ggml.unknown_token_id says.
    auto bpe = std::make_unique<ByteLevelBpe>(parts_.vocabulary,
                                              BpeOptions{.ignore_merges = pre.ignore_merges});
    bpe->merges().reserve(static_cast<i64>(data_.merges.size()));
    each_merge([&](std::string_view left, std::string_view right) {
      bpe->merges().add(parts_.vocabulary, left, right);
    });
    parts_.model = std::move(bpe);
  }

  /// SentencePiece's blank for each blank, and one before each stretch of text between added
  /// tokens if `prefixed`, whatever the stretch starts with.
  void use_sentence_pieces(bool prefixed) {
    if (prefixed) {
      parts_.normalizer.add(prepend("\u2581"));
    }
    parts_.normalizer.add(replace(Regex::literal(" "), "\u2581"));
    parts_.decoder = std::make_unique<SentencePieceDecoder>(prefixed);
  }

  void read_scored() {
    use_sentence_pieces(data_.add_space_prefix.value_or(true));
    if (data_.scores.size() < data_.tokens.size()) {
      fail("scores",
           str("has ", data_.scores.size(), " elements for ", data_.tokens.size(), " tokens"));
    }
    read_tokens();
    const std::span scores(data_.scores.data(), data_.tokens.size());
    for (std::size_t id = 0; id < scores.size(); ++id) {
      if (!(scores[id] == scores[id])) {
        fail("scores", str("element ", id, ": is not a number"));
      }
    }
    auto bpe = std::make_unique<ScoredBpe>(parts_.vocabulary, scores,
                                           checked_id("unknown_token_id", data_.unk_id));
    parts_.pre_tokenizer.add_cuts(bpe->joined());
    parts_.model = std::move(bpe);
  }

  void read_gemma4() {
    use_sentence_pieces(false);
    // llama.cpp never merges over the border of a run of newlines, and no token holds one.
    parts_.pre_tokenizer.add_split(Regex(R"([^\n]+|[\n]+)"), SplitBehavior::kIsolated);
    read_tokens();
    auto bpe = std::make_unique<CharacterBpe>(
        parts_.vocabulary,
        BpeOptions{.unk_id = checked_id("unknown_token_id", data_.unk_id), .fuse_unk = true}, true);
    bpe->reserve(static_cast<i64>(data_.merges.size()));
    each_merge([&](std::string_view left, std::string_view right) {
      bpe->add_merge(parts_.vocabulary, left, right);
    });
    if (auto joined = bpe->joined()) {
      parts_.pre_tokenizer.add_cuts(std::move(joined));
    }
    parts_.model = std::move(bpe);
  }

  template <class Add>
  void each_merge(const Add& add) const {
    for (i64 i = 0; i < static_cast<i64>(data_.merges.size()); ++i) {
      at_element("merges", i, [&] {
        const std::string_view both = data_.merges[i];
        const auto blank = both.find(' ', 1);
        if (blank == std::string_view::npos) {
          throw DataError(str("\"", printable(both), "\" is not two pieces with a blank between"));
        }
        add(both.substr(0, blank), both.substr(blank + 1));
      });
    }
  }

  void read_special_ids(bool adds_bos) {
    parts_.bos_id = checked_id("bos_token_id", data_.bos_id);
    parts_.eos_id = checked_id("eos_token_id", data_.eos_id);
    parts_.pad_id = checked_id("padding_token_id", data_.pad_id);
    parts_.unk_id = checked_id("unknown_token_id", data_.unk_id);
    checked_id("eot_token_id", data_.eot_id);
    checked_id("eom_token_id", data_.eom_id);
    if (data_.add_bos.value_or(adds_bos)) {
      parts_.prefix.push_back(needed("bos", parts_.bos_id));
    }
    if (data_.add_eos.value_or(false)) {
      parts_.suffix.push_back(needed("eos", parts_.eos_id));
    }
  }

  /// GGUF has tokens by id alone, so these are what a template finds.
  void name_tokens() {
    const std::pair<const char*, std::optional<i32>> named[] = {{"bos_token", parts_.bos_id},
                                                                {"eos_token", parts_.eos_id},
                                                                {"pad_token", parts_.pad_id},
                                                                {"unk_token", parts_.unk_id}};
    for (const auto& [name, id] : named) {
      if (id) {
        parts_.template_tokens[name] = data_.tokens[static_cast<std::size_t>(*id)];
      }
    }
  }

  /// Old converters wrote 4294967295 for none.
  std::optional<i32> checked_id(std::string_view key, const std::optional<i64>& id) {
    if (!id) {
      return std::nullopt;
    }
    if (*id < 0 || *id >= static_cast<i64>(data_.tokens.size())) {
      note(key, str("there is no token with id ", *id, "; it is not used"));
      return std::nullopt;
    }
    return static_cast<i32>(*id);
  }

  i32 needed(std::string_view name, const std::optional<i32>& id) const {
    if (!id) {
      fail(str(name, "_token_id"),
           str("is missing or no token's, but ", name, " is to be added to texts"));
    }
    return *id;
  }

  template <class Action>
  void at_element(std::string_view key, i64 index, const Action& action) const {
    try {
      action();
    } catch (const DataError& error) {
      fail(key, str("element ", index, ": ", error.what()));
    }
  }

  const GgufTokenizerData& data_;
  const std::string& file_;
  TokenizerParts parts_;
};

std::vector<std::string> owned(const std::vector<std::string_view>& texts) {
  return {texts.begin(), texts.end()};
}

/// tokenizer.chat_template, and the others under their names: those that tokenizer.chat_templates
/// lists, and those that it leaves out.
std::vector<NamedTemplate> read_chat_templates(const GgufFile& file) {
  const std::string key = "tokenizer.chat_template";
  std::vector<NamedTemplate> templates;
  const auto add = [&](std::string_view name, std::string_view text) {
    check_utf8(text, str(file.path(), ": ", key, ": ", printable(name)));
    const bool known = std::ranges::any_of(
        templates, [&](const NamedTemplate& template_) { return template_.name == name; });
    if (!known) {
      templates.push_back({std::string(name), std::string(text)});
    }
  };
  if (const auto text = file.find_string(key)) {
    add("default", *text);
  }
  for (const std::string_view name :
       file.find_strings("tokenizer.chat_templates").value_or(std::vector<std::string_view>())) {
    add(name, file.get_string(str(key, '.', name)));
  }
  for (const auto& [other, value] : file.metadata()) {
    if (other.starts_with(key + '.')) {
      add(std::string_view(other).substr(key.size() + 1), file.get_string(other));
    }
  }
  return templates;
}

}  // namespace

bool has_tokenizer(const GgufFile& file) {
  return file.find_string("tokenizer.ggml.model").value_or("none") != "none";
}

GgufTokenizerData read_gguf_tokenizer(const GgufFile& file) {
  const std::string ggml = "tokenizer.ggml.";
  GgufTokenizerData data;
  data.model = file.get_string(ggml + "model");
  data.pre = file.find_string(ggml + "pre").value_or("");
  data.tokens = owned(file.get_strings(ggml + "tokens"));
  data.merges = owned(file.find_strings(ggml + "merges").value_or(std::vector<std::string_view>()));
  data.token_types = file.find_ints(ggml + "token_type").value_or(std::vector<i64>());
  data.bos_id = file.find_int(ggml + "bos_token_id");
  data.eos_id = file.find_int(ggml + "eos_token_id");
  data.unk_id = file.find_int(ggml + "unknown_token_id");
  data.pad_id = file.find_int(ggml + "padding_token_id");
  data.eot_id = file.find_int(ggml + "eot_token_id");
  data.eom_id = file.find_int(ggml + "eom_token_id");
  data.fim_pad_id = file.find_int(ggml + "fim_pad_token_id");
  data.fim_rep_id = file.find_int(ggml + "fim_rep_token_id");
  data.fim_sep_id = file.find_int(ggml + "fim_sep_token_id");
  data.add_bos = file.find_bool(ggml + "add_bos_token");
  data.add_eos = file.find_bool(ggml + "add_eos_token");
  data.add_space_prefix = file.find_bool(ggml + "add_space_prefix");
  data.scores = file.find_floats(ggml + "scores").value_or(std::vector<float>());
  data.control_tokens_strip =
      data.model == "llama" && file.find_string("general.architecture").value_or("") == "phi3";
  data.chat_templates = read_chat_templates(file);
  return data;
}

Tokenizer tokenizer_from_gguf(const GgufTokenizerData& data, const std::string& file) {
  return GgufReader(data, file).read();
}

}  // namespace inlay
