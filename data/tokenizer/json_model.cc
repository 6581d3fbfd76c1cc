// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/character_bpe.h"
#include "data/tokenizer/json_loader.h"
#include "data/tokenizer/unigram.h"

namespace inlay {
namespace {

void read_vocabulary(const JsonView& json, Vocabulary& vocabulary) {
  vocabulary.reserve(json.size());
  json.each_member([&](const std::string& piece, const JsonView& id) {
    const i64 number = id.integer();
    json.blame([&] { vocabulary.add(piece, number); });
  });
}

/// Calls `add(left, right)` for each merge: "left right", or ["left", "right"] in newer files.
template <class Add>
void each_merge(const JsonView& merges, const Add& add) {
  merges.each_element([&](const JsonView& json) {
    if (!json.is_string()) {
      const nlohmann::json& pair = json.json();
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
        json.fail("expected a string or an array of two");
      }
      json.blame([&] {
        add(pair[0].get_ref<const std::string&>(), pair[1].get_ref<const std::string&>());
      });
      return;
    }
    const std::string_view both = json.string();
    if (both.starts_with("#version")) {
      return;  // the first line of the file the merges were once read from
    }
    const auto blank = both.find(' ');
    if (blank == std::string_view::npos || both.find(' ', blank + 1) != std::string_view::npos) {
      json.fail(str("\"", printable(both), "\" is not two pieces with a blank between"));
    }
    json.blame([&] { add(both.substr(0, blank), both.substr(blank + 1)); });
  });
}

/// Refuses the options of BPE that none of these vocabularies has.
void check_bpe_options(const JsonView& model) {
  if (const auto dropout = model.find("dropout"); dropout && dropout->json() != 0.0) {
    dropout->fail("dropout makes encoding random and is not supported; it must be null");
  }
  for (const std::string_view affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const auto value = model.find(affix); value && !value->string().empty()) {
      value->fail("is not supported; it must be null");
    }
  }
}

void read_bpe(const JsonView& model, TokenizerParts& parts) {
  check_bpe_options(model);
  read_vocabulary(model.at("vocab"), parts.vocabulary);
  const auto unk = model.find("unk_token");
  parts.unk_id = unk ? parts.vocabulary.find(unk->string()) : std::nullopt;
  const BpeOptions options{.unk_id = parts.unk_id,
                           .fuse_unk = model.boolean_or("fuse_unk", false),
                           .ignore_merges = model.boolean_or("ignore_merges", false)};
  const bool byte_fallback = model.boolean_or("byte_fallback", false);
  const JsonView merges = model.at("merges");
  const auto check_unk = [&](bool needs_unk) {
    if (unk && !parts.unk_id && needs_unk) {
      unk->fail(str("\"", printable(unk->string()), "\" is not in the vocabulary"));
    }
  };
  if (parts.is_byte_level) {
    auto bpe = std::make_unique<ByteLevelBpe>(parts.vocabulary, options);
    check_unk(bpe->missing_byte().has_value());
    if (byte_fallback && bpe->missing_byte()) {
      model.at("byte_fallback")
          .fail("is not supported where ByteLevel letters are missing in the vocabulary");
    }
    bpe->merges().reserve(merges.size());
    each_merge(merges, [&](std::string_view left, std::string_view right) {
      bpe->merges().add(parts.vocabulary, left, right);
    });
    parts.model = std::move(bpe);
    return;
  }
  auto bpe = std::make_unique<CharacterBpe>(parts.vocabulary, options, byte_fallback);
  check_unk(bpe->needs_unk());
  bpe->reserve(merges.size());
  each_merge(merges, [&](std::string_view left, std::string_view right) {
    bpe->add_merge(parts.vocabulary, left, right);
  });
  if (auto joined = bpe->joined()) {
    parts.pre_tokenizer.add_cuts(std::move(joined));
  }
  parts.model = std::move(bpe);
}

/// [["piece", -2.5], …]: the id is the place.
std::vector<double> read_scored_pieces(const JsonView& json, Vocabulary& vocabulary) {
  std::vector<double> scores;
  vocabulary.reserve(json.size());
  json.each_element([&](const JsonView& element) {
    const nlohmann::json& pair = element.json();
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_number()) {
      element.fail("expected an array of a piece and its score");
    }
    element.blame([&] {
      vocabulary.add_or_repeat(pair[0].get_ref<const std::string&>(),
                               static_cast<i64>(scores.size()));
    });
    scores.push_back(pair[1].get<double>());
  });
  return scores;
}

void read_unigram(const JsonView& model, TokenizerParts& parts) {
  if (parts.is_byte_level) {
    model.at("type").fail("\"Unigram\" over ByteLevel letters is not supported");
  }
  const std::vector<double> scores = read_scored_pieces(model.at("vocab"), parts.vocabulary);
  if (const auto unk = model.find("unk_id")) {
    const i64 id = unk->integer();
    if (id < 0 || id >= static_cast<i64>(scores.size())) {
      unk->fail(str("there is no token with id ", id));
    }
    parts.unk_id = static_cast<i32>(id);
  }
  parts.model = std::make_unique<Unigram>(parts.vocabulary, scores, parts.unk_id,
                                          model.boolean_or("byte_fallback", false));
}

}  // namespace

void model_from_json(const JsonView& root, TokenizerParts& parts) {
  const JsonView model = root.at("model");
  // GPT-2's own file is older than the key "type".
  const std::string type = model.string_or("type", "BPE");
  if (type == "BPE") {
    read_bpe(model, parts);
  } else if (type == "Unigram") {
    read_unigram(model, parts);
  } else {
    refuse_type(model, "BPE and Unigram");
  }
}

}  // namespace inlay
