// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>

#include "data/text/utf8.h"
#include "data/tokenizer/json_loader.h"
#include "data/tokenizer/split_pattern.h"

namespace inlay {
namespace {

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

/// Punctuation of ASCII and of Unicode.
constexpr std::string_view kPunctuation = R"([\p{P}$+<=>^`|~])";
/// Rust's \w, with the joiners and the letters among the symbols, which is not Oniguruma's.
constexpr std::string_view kWordsAndSigns =
    R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149})"
    R"(\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}]+|)"
    R"([^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149})"
    R"(\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}\s]+)";

class PreTokenizerReader {
 public:
  explicit PreTokenizerReader(TokenizerParts& parts) : parts_(parts) {}

  void add(const JsonView& json) {
    const std::string& type = json.at("type").string();
    PreTokenizer& steps = parts_.pre_tokenizer;
    if (parts_.is_byte_level) {
      // A later step would see letters of the byte alphabet, which our pieces do not hold.
      json.fail(str("\"", printable(type), "\" comes after ByteLevel, which must be the last"));
    }
    if (type == "Sequence") {
      json.at("pretokenizers").each_element([&](const JsonView& step) { add(step); });
    } else if (type == "Split") {
      steps.add_split(pattern_from_json(json.at("pattern")), split_behavior(json.at("behavior")),
                      json.at("invert").boolean());
    } else if (type == "Digits") {
      steps.add_split(Regex(R"(\p{N})"), json.at("individual_digits").boolean()
                                             ? SplitBehavior::kIsolated
                                             : SplitBehavior::kContiguous);
    } else if (type == "ByteLevel") {
      add_byte_level(json);
    } else if (type == "Metaspace") {
      const MetaspaceJson metaspace = metaspace_from_json(json);
      steps.add_metaspace(metaspace.replacement, metaspace.scheme);
      if (metaspace.split) {
        steps.add_split(Regex::literal(metaspace.replacement), SplitBehavior::kMergedWithNext);
      }
    } else if (type == "Whitespace") {
      steps.add_split(Regex(kWordsAndSigns), SplitBehavior::kRemoved, true);
    } else if (type == "WhitespaceSplit") {
      steps.add_split(Regex(R"(\s)"), SplitBehavior::kRemoved);
    } else if (type == "Punctuation") {
      const auto behavior = json.find("behavior");
      steps.add_split(Regex(kPunctuation),
                      behavior ? split_behavior(*behavior) : SplitBehavior::kIsolated);
    } else if (type == "CharDelimiterSplit") {
      const JsonView delimiter = json.at("delimiter");
      steps.add_split(delimiter.blame([&] { return Regex::literal(delimiter.string()); }),
                      SplitBehavior::kRemoved);
    } else {
      refuse_type(json,
                  "ByteLevel, Metaspace, Split, Digits, Whitespace, WhitespaceSplit, Punctuation, "
                  "CharDelimiterSplit and Sequence");
    }
  }

 private:
  void add_byte_level(const JsonView& json) {
    parts_.is_byte_level = true;
    if (json.at("add_prefix_space").boolean()) {
      parts_.pre_tokenizer.add_prefix_blank();
    }
    if (json.boolean_or("use_regex", true)) {
      parts_.pre_tokenizer.add_split(Regex(kGpt2Pattern), SplitBehavior::kIsolated);
    }
  }

  TokenizerParts& parts_;
};

}  // namespace

Regex pattern_from_json(const JsonView& json) {
  if (const auto text = json.find("String")) {
    return text->blame([&] { return Regex::literal(text->string()); });
  }
  const JsonView pattern = json.at("Regex");
  const std::string& text = pattern.string();
  return pattern.blame([&] { return Regex(text); });
}

MetaspaceJson metaspace_from_json(const JsonView& json) {
  MetaspaceJson metaspace;
  metaspace.replacement = json.string_or("replacement", "\u2581");
  if (metaspace.replacement.empty() || code_point_at(metaspace.replacement, 0).length !=
                                           static_cast<i64>(metaspace.replacement.size())) {
    json.at("replacement").fail("must be one character");
  }
  const bool prefixed = json.boolean_or("add_prefix_space", true);  // in older files
  const std::string scheme = json.string_or("prepend_scheme", prefixed ? "always" : "never");
  if (scheme == "always") {
    metaspace.scheme = PrependScheme::kAlways;
  } else if (scheme == "first") {
    metaspace.scheme = PrependScheme::kFirst;
  } else if (scheme == "never") {
    metaspace.scheme = PrependScheme::kNever;
  } else {
    json.at("prepend_scheme")
        .fail(str("\"", printable(scheme), "\" is unknown; known are always, first and never"));
  }
  metaspace.split = json.boolean_or("split", true);
  return metaspace;
}

void pre_tokenizer_from_json(const JsonView& root, TokenizerParts& parts) {
  if (const auto json = root.find("pre_tokenizer")) {
    PreTokenizerReader(parts).add(*json);
  }
}

}  // namespace inlay
