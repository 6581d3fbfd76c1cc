// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/added_tokens.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/text/unicode.h"
#include "data/text/utf8.h"

namespace inlay {

/// Strings, each with a value, to be found at a place of a text: the longest that starts there.
class PrefixTree {
 public:
  /// A string that is there already keeps its value.
  void add(std::string_view text, i64 value) {
    i64 node = 0;
    for (const char byte : text) {
      const i64 next = child(node, byte);
      if (next >= 0) {
        node = next;
        continue;
      }
      nodes_[node].children.push_back({byte, static_cast<i64>(nodes_.size())});
      node = nodes_.size();
      nodes_.emplace_back();
    }
    if (nodes_[node].value < 0) {
      nodes_[node].value = value;
    }
    starts_[static_cast<u8>(text[0])] = true;
  }

  bool empty() const { return nodes_.size() == 1; }

  struct Found {
    i64 begin;
    i64 end;
    i64 value;  // -1: nothing
  };
  /// The first string at `from` or behind it.
  Found find(std::string_view text, i64 from) const {
    const i64 size = text.size();
    for (i64 begin = from; begin < size; ++begin) {
      // Nearly every byte of a text ends here: few begin an added token.
      if (!starts_[static_cast<u8>(text[begin])]) {
        continue;
      }
      Found found{begin, begin, -1};
      i64 node = 0;
      // On to the longest: `<|im_start|>` before `<|im`.
      for (i64 at = begin; at < size && (node = child(node, text[at])) >= 0; ++at) {
        if (nodes_[node].value >= 0) {
          found = {begin, at + 1, nodes_[node].value};
        }
      }
      if (found.value >= 0) {
        return found;
      }
    }
    return {size, size, -1};
  }

 private:
  struct Edge {
    char byte;
    i64 node;
  };
  struct Node {
    std::vector<Edge> children;
    i64 value = -1;
  };

  i64 child(i64 node, char byte) const {
    for (const Edge& edge : nodes_[node].children) {
      if (edge.byte == byte) {
        return edge.node;
      }
    }
    return -1;
  }

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<bool, 256> starts_{};
};

namespace {

bool touches_a_word(std::string_view text, const ByteRange& range) {
  const i64 size = text.size();
  return (range.begin > 0 &&
          is_word_character(code_point_at(text, previous_code_point(text, range.begin)).value)) ||
         (range.end < size && is_word_character(code_point_at(text, range.end).value));
}

i64 before_white_space(std::string_view text, i64 at) {
  while (at > 0) {
    const i64 previous = previous_code_point(text, at);
    if (!is_white_space(code_point_at(text, previous).value)) {
      break;
    }
    at = previous;
  }
  return at;
}

i64 behind_white_space(std::string_view text, i64 at) {
  while (at < static_cast<i64>(text.size())) {
    const CodePoint point = code_point_at(text, at);
    if (!is_white_space(point.value)) {
      break;
    }
    at += point.length;
  }
  return at;
}

}  // namespace

AddedTokens::AddedTokens() : AddedTokens({}, Normalizer()) {}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  auto raw = std::make_shared<PrefixTree>();
  auto normalized = std::make_shared<PrefixTree>();
  for (i64 i = 0; i < static_cast<i64>(tokens_.size()); ++i) {
    by_id_.emplace(tokens_[i].id, i);
    AddedToken& token = tokens_[i];
    if (token.normalized) {
      token.content = normalizer.apply(token.content);
    }
    (token.normalized ? *normalized : *raw).add(token.content, i);
  }
  raw_ = std::move(raw);
  normalized_ = std::move(normalized);
}

std::vector<Stretch> AddedTokens::split(std::string_view text, Kind kind,
                                        bool parse_special) const {
  const PrefixTree& tree = kind == Kind::kRaw ? *raw_ : *normalized_;
  const i64 size = text.size();
  std::vector<Stretch> stretches;
  i64 done = 0;
  for (i64 from = 0; !tree.empty();) {
    const PrefixTree::Found found = tree.find(text, from);
    if (found.value < 0) {
      break;
    }
    from = found.end;
    const AddedToken& token = tokens_[found.value];
    ByteRange range{found.begin, found.end};
    // Passed over, text and all: a shorter token inside it is not looked for.
    if ((token.special && !parse_special) || (token.single_word && touches_a_word(text, range))) {
      continue;
    }
    // Not into white space that the token before has taken.
    if (token.lstrip) {
      range.begin = std::max(before_white_space(text, range.begin), done);
    }
    if (token.rstrip) {
      range.end = behind_white_space(text, range.end);
    }
    if (done < range.begin) {
      stretches.push_back({{done, range.begin}, -1});
    }
    stretches.push_back({range, token.id});
    done = range.end;
  }
  if (done < size) {
    stretches.push_back({{done, size}, -1});
  }
  return stretches;
}

const AddedToken* AddedTokens::find(i32 id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

bool AddedTokens::is_special(i32 id) const {
  const AddedToken* token = find(id);
  return token != nullptr && token->special;
}

}  // namespace inlay
