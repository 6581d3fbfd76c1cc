// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/normalizer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/text/unicode.h"

namespace inlay {

const AlignedText::Segment& AlignedText::segment_at(i64 at) const {
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), at,
                                      [](i64 a, const Segment& s) { return a < s.begin; });
  INLAY_ASSERT(after != segments_.begin());
  return *(after - 1);
}

ByteRange AlignedText::source_of(i64 begin, i64 end) const {
  if (segments_.empty()) {
    return {base_ + begin, base_ + end};
  }
  const Segment& first = segment_at(begin);
  // That of the last byte, not of the byte behind; an empty range takes that of its begin.
  const Segment& last = segment_at(std::max(begin, end - 1));
  return {first.unchanged ? first.source.begin + (begin - first.begin) : first.source.begin,
          last.unchanged ? last.source.begin + (end - last.begin) : last.source.end};
}

AlignedText::AlignedText(const AlignedText& whole, const ByteRange& part)
    : text_(whole.text_.substr(part.begin, part.end - part.begin)),
      base_(whole.base_ + part.begin) {
  if (!whole.segments_.empty()) {
    whole.append_segments(part.begin, part.end, 0, segments_);
  }
}

void AlignedText::append_segments(i64 begin, i64 end, i64 to,
                                  std::vector<Segment>& segments) const {
  if (segments_.empty()) {
    segments.push_back({to, source_of(begin, end), true});
    return;
  }
  const i64 shift = to - begin;
  for (const Segment* segment = &segment_at(begin); begin < end; ++segment) {
    const i64 next = segment == &segments_.back() ? end : std::min(end, (segment + 1)->begin);
    segments.push_back({begin + shift, source_of(begin, next), segment->unchanged});
    begin = next;
  }
}

void AlignedText::replace(std::string text, std::vector<Segment> segments) {
  storage_ = std::move(text);
  text_ = storage_;
  segments_ = std::move(segments);
}

void AlignedText::normalize_nfc() {
  INLAY_ASSERT(segments_.empty());  // normalisation comes first, and once
  NormalizedText normalized = inlay::normalize_nfc(text_);
  // Nearly every text: without segments, places need no search.
  if (normalized.text == text_) {
    return;
  }
  std::vector<Segment> segments;
  i64 at = 0;
  i64 source_at = 0;
  for (const NormalizedRun& run : normalized.runs) {
    segments.push_back({at, source_of(source_at, source_at + run.source_length), run.unchanged});
    at += run.length;
    source_at += run.source_length;
  }
  replace(std::move(normalized.text), std::move(segments));
}

void AlignedText::prefix_with_blanks(std::vector<ByteRange>& pieces) {
  std::string text;
  std::vector<Segment> segments;
  for (ByteRange& piece : pieces) {
    const i64 begin = text.size();
    if (text_[piece.begin] != ' ') {
      const i64 before = source_of(piece.begin, piece.end).begin;
      // The blank stands for nothing in the source: an empty range before the piece.
      segments.push_back({begin, {before, before}, false});
      text += ' ';
    }
    append_segments(piece.begin, piece.end, text.size(), segments);
    text += text_.substr(piece.begin, piece.end - piece.begin);
    piece = {begin, static_cast<i64>(text.size())};
  }
  replace(std::move(text), std::move(segments));
}

Normalizer Normalizer::nfc() {
  Normalizer normalizer;
  normalizer.nfc_ = true;
  return normalizer;
}

void Normalizer::apply(AlignedText& text) const {
  if (nfc_) {
    text.normalize_nfc();
  }
}

std::string Normalizer::apply(std::string_view text) const {
  return nfc_ ? normalize_nfc(text).text : std::string(text);
}

}  // namespace inlay
