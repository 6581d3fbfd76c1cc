// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/types.h"
#include "data/text/unicode.h"

namespace inlay {

struct ByteRange {
  i64 begin;
  i64 end;
  bool operator==(const ByteRange&) const = default;
};

/// A stretch of source text on its way through normalisation and pre-tokenisation, which can say of
/// any of its bytes where in the source it comes from.
class AlignedText {
 public:
  /// The bytes at `base` of the source, which must outlive this. Not `aligned`: source_of() is not
  /// asked for, and changes need not be kept track of.
  AlignedText(std::string_view source, i64 base, bool aligned = true)
      : text_(source), base_(base), aligned_(aligned) {}
  /// Bytes `part` of `whole`, which must outlive this.
  AlignedText(const AlignedText& whole, const ByteRange& part);
  // text_ may point into storage_.
  AlignedText(const AlignedText&) = delete;
  AlignedText& operator=(const AlignedText&) = delete;

  std::string_view text() const { return text_; }

  /// The source of bytes [begin, end) of the text.
  ByteRange source_of(i64 begin, i64 end) const;

  /// Takes `changed`, which was made of the text.
  void change(NormalizedText changed);

  /// Rewrites each of `pieces`, which are in order, by `rewrite(piece's text, range, changed)`;
  /// drops what is between them and moves them to their new places.
  template <class Rewrite>
  void change_pieces(std::vector<ByteRange>& pieces, const Rewrite& rewrite) {
    NormalizedText changed;
    changed.text.reserve(text_.size());
    i64 at = 0;
    for (ByteRange& piece : pieces) {
      changed.replace(piece.begin - at, {});
      const i64 begin = static_cast<i64>(changed.text.size());
      rewrite(text_.substr(piece.begin, piece.end - piece.begin), piece, changed);
      at = piece.end;
      piece = {begin, static_cast<i64>(changed.text.size())};
    }
    changed.replace(static_cast<i64>(text_.size()) - at, {});
    change(std::move(changed));
  }

 private:
  /// Bytes of the text from `begin` to the next segment, and their source. Unchanged bytes
  /// correspond one to one; otherwise all of the bytes stand for all of the source.
  struct Segment {
    i64 begin;
    ByteRange source;
    bool unchanged;
  };
  const Segment& segment_at(i64 at) const;
  /// Appends the segments of bytes [begin, end), cut at both ends and moved to `to`.
  void append_segments(i64 begin, i64 end, i64 to, std::vector<Segment>& segments) const;

  std::string_view text_;
  i64 base_;
  bool aligned_;
  std::string storage_;
  std::vector<Segment> segments_;  // empty: all is unchanged
  /// Where the last search ended: places are mostly asked for in order.
  mutable std::size_t last_ = 0;
};

/// One way to change text.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual NormalizedText apply(std::string_view text) const = 0;
};

/// Changes text before it is split: a list of steps, none for text that stays as it is.
class Normalizer {
 public:
  void add(std::shared_ptr<const NormalizerStep> step) { steps_.push_back(std::move(step)); }

  void apply(AlignedText& text) const;
  std::string apply(std::string_view text) const;

 private:
  std::vector<std::shared_ptr<const NormalizerStep>> steps_;
};

}  // namespace inlay
