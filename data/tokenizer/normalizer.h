// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

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
  /// The bytes at `base` of the source, which must outlive this.
  AlignedText(std::string_view source, i64 base) : text_(source), base_(base) {}
  /// Bytes `part` of `whole`, which must outlive this.
  AlignedText(const AlignedText& whole, const ByteRange& part);
  // text_ may point into storage_.
  AlignedText(const AlignedText&) = delete;
  AlignedText& operator=(const AlignedText&) = delete;

  std::string_view text() const { return text_; }

  /// The source of bytes [begin, end) of the text.
  ByteRange source_of(i64 begin, i64 end) const;

  void normalize_nfc();

  /// Puts a blank in front of each of `pieces`, which are in order, that does not start with one;
  /// drops what is between them and moves them to their new places.
  void prefix_with_blanks(std::vector<ByteRange>& pieces);

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
  void replace(std::string text, std::vector<Segment> segments);

  std::string_view text_;
  i64 base_;
  std::string storage_;
  std::vector<Segment> segments_;  // empty: all is unchanged
};

/// Changes text before it is split: nothing, or normalisation form C.
class Normalizer {
 public:
  Normalizer() = default;
  static Normalizer nfc();

  void apply(AlignedText& text) const;
  std::string apply(std::string_view text) const;

 private:
  bool nfc_ = false;
};

}  // namespace inlay
