// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace inlay {
namespace {

/// A match or the gap between two.
struct Part {
  ByteRange range;
  bool is_match;
};

std::vector<Part> parts_of(const std::vector<Regex::Match>& matches, i64 size, bool invert) {
  std::vector<Part> parts;
  i64 at = 0;
  for (const Regex::Match& match : matches) {
    if (at != match.begin) {
      parts.push_back({{at, match.begin}, invert});
    }
    parts.push_back({{match.begin, match.end}, !invert});
    at = match.end;
  }
  if (at != size) {
    parts.push_back({{at, size}, invert});
  }
  return parts;
}

/// Goes through `parts` in their order, or backwards, and lets each grow the piece before it where
/// `joins(part is a match, part before is a match)`.
template <class Iterator, class Joins>
std::vector<ByteRange> joined(Iterator begin, Iterator end, const Joins& joins) {
  std::vector<ByteRange> pieces;
  bool before = false;
  for (Iterator part = begin; part != end; ++part) {
    if (!pieces.empty() && joins(part->is_match, before)) {
      pieces.back() = {std::min(pieces.back().begin, part->range.begin),
                       std::max(pieces.back().end, part->range.end)};
    } else {
      pieces.push_back(part->range);
    }
    before = part->is_match;
  }
  return pieces;
}

std::vector<ByteRange> pieces_of(const std::vector<Part>& parts, SplitBehavior behavior) {
  const auto never = [](bool, bool) { return false; };
  const auto alike = [](bool match, bool before) { return match == before; };
  const auto match_after_gap = [](bool match, bool before) { return match && !before; };
  switch (behavior) {
    case SplitBehavior::kRemoved: {
      std::vector<Part> gaps = parts;
      std::erase_if(gaps, [](const Part& part) { return part.is_match; });
      return joined(gaps.begin(), gaps.end(), never);
    }
    case SplitBehavior::kIsolated:
      return joined(parts.begin(), parts.end(), never);
    case SplitBehavior::kContiguous:
      return joined(parts.begin(), parts.end(), alike);
    case SplitBehavior::kMergedWithPrevious:
      return joined(parts.begin(), parts.end(), match_after_gap);
    case SplitBehavior::kMergedWithNext: {
      // Backwards, "merged with the next" is "merged with the previous".
      std::vector<ByteRange> pieces = joined(parts.rbegin(), parts.rend(), match_after_gap);
      std::reverse(pieces.begin(), pieces.end());
      return pieces;
    }
  }
  return {};
}

}  // namespace

struct PreTokenizer::Step {
  std::optional<Regex> regex;  // none: prefix a blank
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;

  std::vector<ByteRange> refine(std::string_view text, const std::vector<ByteRange>& pieces) const {
    std::vector<ByteRange> refined;
    std::vector<Regex::Match> matches;
    for (const ByteRange& piece : pieces) {
      const std::string_view part = text.substr(piece.begin, piece.end - piece.begin);
      matches.clear();
      regex->find_all(part, matches);
      for (const ByteRange& range : pieces_of(parts_of(matches, part.size(), invert), behavior)) {
        // An empty match splits, and leaves no piece of its own.
        if (range.begin < range.end) {
          refined.push_back({piece.begin + range.begin, piece.begin + range.end});
        }
      }
    }
    return refined;
  }
};

void PreTokenizer::add_split(Regex regex, SplitBehavior behavior, bool invert) {
  steps_.push_back(std::make_shared<Step>(Step{std::move(regex), behavior, invert}));
}

void PreTokenizer::add_prefix_blank() {
  steps_.push_back(std::make_shared<Step>());
}

bool PreTokenizer::has_prefix_blank() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const auto& step) { return !step->regex; });
}

std::vector<ByteRange> PreTokenizer::split(AlignedText& text) const {
  std::vector<ByteRange> pieces;
  if (!text.text().empty()) {
    pieces.push_back({0, static_cast<i64>(text.text().size())});
  }
  for (const auto& step : steps_) {
    if (step->regex) {
      pieces = step->refine(text.text(), pieces);
    } else {
      text.prefix_with_blanks(pieces);
    }
  }
  return pieces;
}

}  // namespace inlay
