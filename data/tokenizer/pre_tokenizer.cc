// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "data/text/utf8.h"

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
  virtual ~Step() = default;
  virtual void apply(AlignedText& text, std::vector<ByteRange>& pieces) const = 0;
};

namespace {

struct SplitStep final : PreTokenizer::Step {
  SplitStep(Regex r, SplitBehavior b, bool i) : regex(std::move(r)), behavior(b), invert(i) {}

  void apply(AlignedText& text, std::vector<ByteRange>& pieces) const override {
    std::vector<ByteRange> refined;
    std::vector<Regex::Match> matches;
    for (const ByteRange& piece : pieces) {
      const std::string_view part = text.text().substr(piece.begin, piece.end - piece.begin);
      matches.clear();
      regex.find_all(part, matches);
      for (const ByteRange& range : pieces_of(parts_of(matches, part.size(), invert), behavior)) {
        // An empty match splits, and leaves no piece of its own.
        if (range.begin < range.end) {
          refined.push_back({piece.begin + range.begin, piece.begin + range.end});
        }
      }
    }
    pieces = std::move(refined);
  }

  Regex regex;
  SplitBehavior behavior;
  bool invert;
};

struct PrefixBlankStep final : PreTokenizer::Step {
  void apply(AlignedText& text, std::vector<ByteRange>& pieces) const override {
    text.change_pieces(pieces, [](std::string_view piece, const ByteRange&, NormalizedText& out) {
      if (!piece.starts_with(' ')) {
        out.replace(0, " ");
      }
      out.keep(piece);
    });
  }
};

struct MetaspaceStep final : PreTokenizer::Step {
  MetaspaceStep(std::string r, PrependScheme s) : replacement(std::move(r)), scheme(s) {}

  void apply(AlignedText& text, std::vector<ByteRange>& pieces) const override {
    text.change_pieces(pieces, [&](std::string_view piece, const ByteRange& range,
                                   NormalizedText& out) {
      const bool wanted =
          scheme == PrependScheme::kAlways ||
          (scheme == PrependScheme::kFirst && text.source_of(range.begin, range.end).begin == 0);
      if (wanted && !piece.starts_with(' ') && !piece.starts_with(replacement)) {
        out.replace(0, replacement);
      }
      for (std::size_t at = 0; at < piece.size();) {
        const std::size_t blank = std::min(piece.find(' ', at), piece.size());
        out.keep(piece.substr(at, blank - at));
        if (blank < piece.size()) {
          out.replace(1, replacement);
        }
        at = blank + 1;
      }
    });
  }

  std::string replacement;
  PrependScheme scheme;
};

struct CutStep final : PreTokenizer::Step {
  explicit CutStep(std::function<bool(char32_t, char32_t)> j) : joined(std::move(j)) {}

  void apply(AlignedText& text, std::vector<ByteRange>& pieces) const override {
    std::vector<ByteRange> refined;
    for (const ByteRange& piece : pieces) {
      CodePoint left = code_point_at(text.text(), piece.begin);
      i64 begin = piece.begin;
      for (i64 at = piece.begin + left.length; at < piece.end;) {
        const CodePoint right = code_point_at(text.text(), at);
        if (!joined(left.value, right.value)) {
          refined.push_back({begin, at});
          begin = at;
        }
        left = right;
        at += right.length;
      }
      refined.push_back({begin, piece.end});
    }
    pieces = std::move(refined);
  }

  std::function<bool(char32_t, char32_t)> joined;
};

}  // namespace

void PreTokenizer::add_split(Regex regex, SplitBehavior behavior, bool invert) {
  steps_.push_back(std::make_shared<SplitStep>(std::move(regex), behavior, invert));
}

void PreTokenizer::add_prefix_blank() {
  has_prefix_blank_ = true;
  steps_.push_back(std::make_shared<PrefixBlankStep>());
}

void PreTokenizer::add_metaspace(std::string replacement, PrependScheme scheme) {
  needs_source_ = needs_source_ || scheme == PrependScheme::kFirst;
  steps_.push_back(std::make_shared<MetaspaceStep>(std::move(replacement), scheme));
}

void PreTokenizer::add_cuts(std::function<bool(char32_t, char32_t)> joined) {
  steps_.push_back(std::make_shared<CutStep>(std::move(joined)));
}

std::vector<ByteRange> PreTokenizer::split(AlignedText& text) const {
  std::vector<ByteRange> pieces;
  if (!text.text().empty()) {
    pieces.push_back({0, static_cast<i64>(text.text().size())});
  }
  for (const auto& step : steps_) {
    step->apply(text, pieces);
  }
  return pieces;
}

}  // namespace inlay
