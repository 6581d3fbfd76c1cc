// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_encoder.h"

#include <algorithm>

#include "data/dataset/control_text.h"

namespace inlay {
namespace {

constexpr EncodeOptions kPlain = {.add_special_tokens = false, .parse_special = false};
constexpr EncodeOptions kRendered = {.add_special_tokens = false, .parse_special = true};

/// Whether two texts encoded one by one are the same tokens as both in one, at a place where any
/// tokenizer splits: not so where a blank is put before each.
bool cuts_change_nothing(const Tokenizer& tokenizer) {
  std::vector<i32> apart = tokenizer.encode("\n", kPlain);
  const std::vector<i32> second = tokenizer.encode("a", kPlain);
  apart.insert(apart.end(), second.begin(), second.end());
  return apart == tokenizer.encode("\na", kPlain);
}

bool is_learnt(const RowText& row, const TokenSpan& token) {
  return !row.learnt ||
         std::any_of(row.learnt->begin(), row.learnt->end(), [&](const ByteRange& r) {
           return std::max(token.begin, r.begin) < std::min(token.end, r.end);
         });
}

void push(Example& example, i32 id, bool learnt) {
  example.ids.push_back(id);
  example.labels.push_back(learnt ? id : kIgnoreLabel);
}

bool has_mark_at(std::string_view text, i64 at) {
  return text.substr(at).starts_with(kControlMark);
}

/// Tokens of `text` with its marks taken out, and their places with the marks in.
std::vector<TokenSpan> encode_without_marks(const Tokenizer& tokenizer, std::string_view text) {
  std::string plain;
  std::vector<i64> places;  // of each byte of `plain`, and of its end
  for (i64 at = 0; at < static_cast<i64>(text.size());) {
    if (has_mark_at(text, at)) {
      at += static_cast<i64>(kControlMark.size());
    } else {
      places.push_back(at);
      plain += text[at++];
    }
  }
  // The end of the last token is a place, too.
  places.push_back(static_cast<i64>(text.size()));
  std::vector<TokenSpan> tokens = tokenizer.encode_with_offsets(plain, kPlain);
  for (TokenSpan& token : tokens) {
    token.begin = places[token.begin];
    token.end = places[token.end];
  }
  return tokens;
}

void append_moved(std::vector<TokenSpan> tokens, i64 by, std::vector<TokenSpan>& all) {
  for (TokenSpan& token : tokens) {
    all.push_back({token.id, token.begin + by, token.end + by});
  }
}

}  // namespace

RowEncoder::RowEncoder(const Tokenizer& tokenizer, bool add_eos)
    : tokenizer_(tokenizer), add_eos_(add_eos), can_cut_(cuts_change_nothing(tokenizer)) {
  // What the tokenizer puts around a text is seen by encoding one: tokens that stand for none of
  // its bytes.
  bool before = true;
  for (const TokenSpan& token : tokenizer.encode_with_offsets("a")) {
    before = before && token.begin == token.end;
    if (token.begin == token.end) {
      (before ? prefix_ : suffix_).push_back(token.id);
    }
  }
}

Example RowEncoder::encode(const RowText& row) const {
  if (row.origin == RowText::Origin::kUser) {
    return encode_user(row);
  }
  Example example;
  for (const TokenSpan& token : encode_cut(row)) {
    push(example, token.id, is_learnt(row, token));
  }
  return example;
}

Example RowEncoder::encode_user(const RowText& row) const {
  const auto eos = tokenizer_.eos_id();
  const std::vector<TokenSpan> tokens = encode_cut(row);
  Example example;
  if (!row.parse_control) {
    for (const i32 id : prefix_) {
      // A bos is part of the prompt, where there is one.
      push(example, id, !row.learnt);
    }
  }
  auto turn_end = row.turn_ends.begin();
  for (const TokenSpan& token : tokens) {
    // Before the first token behind an earlier answer.
    if (turn_end != row.turn_ends.end() && token.begin >= *turn_end) {
      ++turn_end;
      if (eos && add_eos_) {
        push(example, *eos, true);
      }
    }
    push(example, token.id, is_learnt(row, token));
  }
  // One end is enough: the text's own, the tokenizer's suffix, or an eos put here.
  bool ended = row.parse_control && ends_in_control(row, tokens);
  if (!row.parse_control) {
    for (const i32 id : suffix_) {
      push(example, id, true);
    }
    ended = !suffix_.empty() && suffix_.back() == eos;
  }
  if (eos && !ended && (add_eos_ || row.ends)) {
    push(example, *eos, true);
  }
  return example;
}

/// Whether a control token is the last of what is to be learnt, white space aside.
bool RowEncoder::ends_in_control(const RowText& row, const std::vector<TokenSpan>& tokens) const {
  const i64 begin = row.cuts.empty() ? 0 : row.cuts.back();
  const auto last = std::find_if(tokens.rbegin(), tokens.rend(), [&](const TokenSpan& token) {
    return tokenizer_.is_special(token.id);
  });
  return last != tokens.rend() && last->begin >= begin &&
         row.text.find_first_not_of(" \t\r\n", last->end) == std::string::npos;
}

std::vector<TokenSpan> RowEncoder::encode_cut(const RowText& row) const {
  const std::string_view text = row.text;
  std::vector<TokenSpan> tokens;
  i64 done = 0;
  const auto piece_to = [&](i64 end) {
    append_moved(encode_piece(text.substr(done, end - done), row), done, tokens);
    done = end;
  };
  if (can_cut_) {
    std::for_each(row.cuts.begin(), row.cuts.end(), piece_to);
  }
  piece_to(static_cast<i64>(text.size()));
  return tokens;
}

std::vector<TokenSpan> RowEncoder::encode_piece(std::string_view piece, const RowText& row) const {
  if (row.origin == RowText::Origin::kUser) {
    return tokenizer_.encode_with_offsets(piece, row.parse_control ? kRendered : kPlain);
  }
  return row.spells_control && !row.parse_control
             ? encode_marked(piece)
             : tokenizer_.encode_with_offsets(piece, kRendered);
}

std::vector<TokenSpan> RowEncoder::encode_marked(std::string_view piece) const {
  std::vector<TokenSpan> tokens;
  i64 done = 0;
  const auto plain_to = [&](i64 end) {
    append_moved(encode_without_marks(tokenizer_, piece.substr(done, end - done)), done, tokens);
    done = end;
  };
  for (const TokenSpan& token : tokenizer_.encode_with_offsets(piece, kRendered)) {
    // A mark right behind a control token: one of a single character, which the mark cannot break.
    if (tokenizer_.is_special(token.id) && !has_mark_at(piece, token.end)) {
      plain_to(token.begin);
      tokens.push_back(token);
      done = token.end;
    }
  }
  plain_to(static_cast<i64>(piece.size()));
  return tokens;
}

}  // namespace inlay
