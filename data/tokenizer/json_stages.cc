// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <initializer_list>
#include <utility>

#include "data/tokenizer/json_loader.h"

namespace inlay {
namespace {

[[noreturn]] void refuse_type(const JsonView& json, std::string_view supported) {
  const JsonView type = json.at("type");
  type.fail(str("\"", printable(type.string()), "\" is not supported; supported are ", supported));
}

bool normalizes_to_nfc(const JsonView& json) {
  const std::string& type = json.at("type").string();
  if (type == "NFC") {
    return true;
  }
  if (type != "Sequence") {
    refuse_type(json, "NFC and Sequence");
  }
  bool nfc = false;
  json.at("normalizers").each_element([&](const JsonView& step) {
    nfc = normalizes_to_nfc(step) || nfc;  // every step is looked at, and NFC twice is NFC
  });
  return nfc;
}

SplitBehavior split_behavior(const JsonView& json) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors = {{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  for (const auto& [name, behavior] : kBehaviors) {
    if (json.string() == name) {
      return behavior;
    }
  }
  json.fail(str("\"", printable(json.string()),
                "\" is unknown; known are Removed, Isolated, MergedWithPrevious, MergedWithNext "
                "and Contiguous"));
}

Regex split_pattern(const JsonView& json) {
  if (const auto text = json.find("String")) {
    return text->blame([&] { return Regex::literal(text->string()); });
  }
  const JsonView pattern = json.at("Regex");
  const std::string& text = pattern.string();
  return pattern.blame([&] { return Regex(text); });
}

class PreTokenizerReader {
 public:
  PreTokenizer read(const JsonView& json) {
    add(json);
    if (!has_byte_level_) {
      json.fail("there is no ByteLevel, and only byte-level tokenizers are supported");
    }
    return std::move(pre_tokenizer_);
  }

 private:
  void add(const JsonView& json) {
    const std::string& type = json.at("type").string();
    if (has_byte_level_) {
      // A later step would see letters of the byte alphabet, which our pieces do not hold.
      json.fail(str("\"", printable(type), "\" comes after ByteLevel, which must be the last"));
    }
    if (type == "Sequence") {
      json.at("pretokenizers").each_element([&](const JsonView& step) { add(step); });
    } else if (type == "Split") {
      pre_tokenizer_.add_split(split_pattern(json.at("pattern")),
                               split_behavior(json.at("behavior")), json.at("invert").boolean());
    } else if (type == "Digits") {
      pre_tokenizer_.add_split(Regex(R"(\p{N})"), json.at("individual_digits").boolean()
                                                      ? SplitBehavior::kIsolated
                                                      : SplitBehavior::kContiguous);
    } else if (type == "ByteLevel") {
      add_byte_level(json);
    } else {
      refuse_type(json, "ByteLevel, Split, Digits and Sequence");
    }
  }

  void add_byte_level(const JsonView& json) {
    has_byte_level_ = true;
    if (json.at("add_prefix_space").boolean()) {
      pre_tokenizer_.add_prefix_blank();
    }
    if (json.boolean_or("use_regex", true)) {
      pre_tokenizer_.add_split(Regex(kGpt2Pattern), SplitBehavior::kIsolated);
    }
  }

  PreTokenizer pre_tokenizer_;
  bool has_byte_level_ = false;
};

class PostProcessorReader {
 public:
  explicit PostProcessorReader(TokenizerParts& parts) : parts_(parts) {}

  void read(const JsonView& json) {
    const std::string& type = json.at("type").string();
    if (type == "Sequence") {
      json.at("processors").each_element([&](const JsonView& step) { read(step); });
    } else if (type == "TemplateProcessing") {
      start_adding(json);
      read_template(json);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      start_adding(json);
      parts_.prefix.push_back(token_of_pair(json.at("cls")));
      parts_.suffix.push_back(token_of_pair(json.at("sep")));
    } else if (type != "ByteLevel") {  // which trims offsets, and adds nothing
      refuse_type(json,
                  "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing and Sequence");
    }
  }

 private:
  void start_adding(const JsonView& json) {
    if (adds_already_) {
      json.fail("a second post-processor that adds tokens is not supported");
    }
    adds_already_ = true;
  }

  /// {"single": [{"SpecialToken": {"id": "<s>", …}}, {"Sequence": {"id": "A", …}}, …], …}
  void read_template(const JsonView& json) {
    const JsonView tokens = json.at("special_tokens");
    const JsonView single = json.at("single");
    bool behind_text = false;
    single.each_element([&](const JsonView& piece) {
      if (const auto sequence = piece.find("Sequence")) {
        if (behind_text || sequence->at("id").string() != "A") {
          sequence->fail("a template for one text must hold sequence A once, and no other");
        }
        behind_text = true;
        return;
      }
      const std::string& name = piece.at("SpecialToken").at("id").string();
      auto& side = behind_text ? parts_.suffix : parts_.prefix;
      tokens.at(name).at("ids").each_element(
          [&](const JsonView& id) { side.push_back(existing(id)); });
    });
    if (!behind_text) {
      single.fail("a template for one text must hold sequence A once, and no other");
    }
  }

  /// ["</s>", 2]
  i32 token_of_pair(const JsonView& json) const {
    i32 id = -1;
    i64 length = 0;
    json.each_element([&](const JsonView& element) {
      if (length++ == 1) {
        id = existing(element);
      }
    });
    if (length != 2) {
      json.fail("expected a piece and its id");
    }
    return id;
  }

  i32 existing(const JsonView& json) const {
    const i64 id = json.integer();
    if (id < 0 || id > INT32_MAX || parts_.vocabulary.piece(static_cast<i32>(id)) == nullptr) {
      json.fail(str("there is no token with id ", id));
    }
    return static_cast<i32>(id);
  }

  TokenizerParts& parts_;
  bool adds_already_ = false;
};

/// Counts the ByteLevel decoders in what may only hold them.
i64 count_byte_level(const JsonView& json) {
  const std::string& type = json.at("type").string();
  if (type == "ByteLevel") {
    return 1;
  }
  if (type != "Sequence") {
    refuse_type(json, "ByteLevel and Sequence");
  }
  i64 count = 0;
  json.at("decoders").each_element([&](const JsonView& step) { count += count_byte_level(step); });
  return count;
}

}  // namespace

Normalizer normalizer_from_json(const JsonView& root) {
  const auto json = root.find("normalizer");
  return json && normalizes_to_nfc(*json) ? Normalizer::nfc() : Normalizer();
}

PreTokenizer pre_tokenizer_from_json(const JsonView& root) {
  const auto json = root.find("pre_tokenizer");
  if (!json) {
    root.fail("there is no pre_tokenizer, and only byte-level tokenizers are supported");
  }
  return PreTokenizerReader().read(*json);
}

void post_processor_from_json(const JsonView& root, TokenizerParts& parts) {
  if (const auto json = root.find("post_processor")) {
    PostProcessorReader(parts).read(*json);
  }
}

std::unique_ptr<const Decoder> decoder_from_json(const JsonView& root) {
  const auto json = root.find("decoder");
  if (!json) {
    root.fail("there is no decoder; supported are ByteLevel and Sequence");
  }
  // A second one would take the text of the first for letters.
  if (count_byte_level(*json) != 1) {
    json->fail("there must be one ByteLevel decoder");
  }
  return std::make_unique<ByteLevelDecoder>();
}

}  // namespace inlay
