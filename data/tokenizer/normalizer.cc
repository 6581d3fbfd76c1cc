// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/normalizer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace inlay {

const AlignedText::Segment& AlignedText::segment_at(i64 at) const {
  const auto holds = [&](std::size_t i) {
    return segments_[i].begin <= at && (i + 1 == segments_.size() || at < segments_[i + 1].begin);
  };
  for (std::size_t i = last_; i < std::min(last_ + 3, segments_.size()); ++i) {
    if (holds(i)) {
      last_ = i;
      return segments_[i];
    }
  }
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), at,
                                      [](i64 a, const Segment& s) { return a < s.begin; });
  INLAY_ASSERT(after != segments_.begin());
  last_ = static_cast<std::size_t>(after - segments_.begin()) - 1;
  return segments_[last_];
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
      base_(whole.base_ + part.begin),
      aligned_(whole.aligned_) {
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

void AlignedText::change(NormalizedText changed) {
  // Nearly every text: without segments, places need no search.
  if (changed.runs.empty() || (changed.runs.size() == 1 && changed.runs[0].unchanged)) {
    return;
  }
  if (aligned_) {
    std::vector<Segment> segments;
    i64 at = 0;
    i64 old = 0;
    for (const NormalizedRun& run : changed.runs) {
      if (run.length > 0 && run.unchanged) {
        append_segments(old, old + run.length, at, segments);
      } else if (run.length > 0) {
        ByteRange source = source_of(old, old + run.source_length);
        // What is inserted stands for nothing in the source: an empty range before what follows.
        source.end = run.source_length == 0 ? source.begin : source.end;
        segments.push_back({at, source, false});
      }
      at += run.length;
      old += run.source_length;
    }
    segments_ = std::move(segments);
    last_ = 0;
  }
  storage_ = std::move(changed.text);
  text_ = storage_;
}

void Normalizer::apply(AlignedText& text) const {
  for (const auto& step : steps_) {
    text.change(step->apply(text.text()));
  }
}

std::string Normalizer::apply(std::string_view text) const {
  std::string changed(text);
  for (const auto& step : steps_) {
    changed = step->apply(changed).text;
  }
  return changed;
}

}  // namespace inlay
