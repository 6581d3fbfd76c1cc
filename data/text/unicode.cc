// SPDX-License-Identifier: Apache-2.0
#include "data/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "core/error.h"
#include "data/text/utf8.h"

// Composition works on clusters: a text may be cut before any code point that no composition or
// reordering reaches across, each cluster is normalised alone, and a cluster that comes out as it
// went in is merged into a run of unchanged text. This gives the alignment that utf8proc's own
// string function does not tell, and marks are sorted by a stable sort: utf8proc inserts them one
// by one, which takes a time quadratic in their number.
namespace inlay {
namespace {

/// Below this nothing composes with what precedes it: the first combining mark.
constexpr char32_t kFirstMark = 0x300;

utf8proc_int32_t as_int(char32_t code_point) {
  return static_cast<utf8proc_int32_t>(code_point);
}

/// Full canonical decomposition, appended.
void append_decomposition(std::vector<utf8proc_int32_t>& out, char32_t code_point) {
  // The longest canonical decomposition of a code point is four.
  utf8proc_int32_t buffer[8];
  int boundary_class = 0;
  const utf8proc_ssize_t length = utf8proc_decompose_char(
      as_int(code_point), buffer, std::size(buffer),
      static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &boundary_class);
  INLAY_ASSERT(length > 0 && length <= static_cast<utf8proc_ssize_t>(std::size(buffer)));
  out.insert(out.end(), buffer, buffer + length);
}

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

/// Whether `code_point` can be the second half of a composition.
bool composes_backwards(utf8proc_int32_t code_point) {
  const bool hangul_vowel_or_tail = (code_point >= 0x1161 && code_point <= 0x1175) ||
                                    (code_point >= 0x11A8 && code_point <= 0x11C2);
  // utf8proc numbers second halves from 0x8000 on, and what takes no part 0xFFFF.
  const auto index = utf8proc_get_property(code_point)->comb_index;
  return hangul_vowel_or_tail || (index >= 0x8000 && index != UINT16_MAX);
}

/// Whether no composition or reordering reaches across the place before `code_point`.
bool starts_cluster(char32_t code_point) {
  if (code_point < kFirstMark) {
    return true;
  }
  std::vector<utf8proc_int32_t> decomposition;
  append_decomposition(decomposition, code_point);
  return combining_class(decomposition[0]) == 0 && !composes_backwards(decomposition[0]);
}

i64 cluster_length(std::string_view text) {
  i64 length = code_point_at(text, 0).length;
  while (length < static_cast<i64>(text.size())) {
    const CodePoint next = code_point_at(text, length);
    if (starts_cluster(next.value)) {
      break;
    }
    length += next.length;
  }
  return length;
}

std::string compose_cluster(std::string_view cluster) {
  std::vector<utf8proc_int32_t> points;
  for (i64 at = 0; at < static_cast<i64>(cluster.size());) {
    const CodePoint point = code_point_at(cluster, at);
    append_decomposition(points, point.value);
    at += point.length;
  }
  const auto is_starter = [](utf8proc_int32_t point) { return combining_class(point) == 0; };
  for (auto begin = points.begin(); begin != points.end();) {
    begin = std::find_if_not(begin, points.end(), is_starter);
    const auto end = std::find_if(begin, points.end(), is_starter);
    std::stable_sort(begin, end, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    begin = end;
  }
  const utf8proc_ssize_t length =
      utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  std::string out;
  for (i64 i = 0; i < length; ++i) {
    append_utf8(out, static_cast<char32_t>(points[i]));
  }
  return out;
}

/// Whether `code_point` alone is in form C and starts a cluster, told without decomposing it:
/// almost all text is of such code points.
bool is_plain(char32_t code_point) {
  const utf8proc_property_t* property = utf8proc_get_property(as_int(code_point));
  return code_point < kFirstMark ||
         (property->combining_class == 0 && property->decomp_seqindex == UINT16_MAX &&
          !composes_backwards(as_int(code_point)));
}

/// Length of the front of `text` that is in form C and ends where the rest can be looked at alone.
i64 settled_length(std::string_view text) {
  const i64 size = text.size();
  i64 length = 0;
  i64 last = 0;
  while (length < size) {
    const CodePoint point = code_point_at(text, length);
    if (!is_plain(point.value)) {
      return last;  // what comes here may compose with the code point before it
    }
    last = length;
    length += point.length;
  }
  return length;
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_word_character(char32_t c) {
  switch (utf8proc_category(as_int(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      // The joiners, and the circled, squared and parenthesised letters: symbols, but Alphabetic.
      return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) ||
             (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
             (c >= 0x1F170 && c <= 0x1F189);
  }
}

NormalizedText normalize_nfc(std::string_view text) {
  NormalizedText out;
  out.text.reserve(text.size());
  const auto add_run = [&](i64 source_length, i64 length, bool unchanged) {
    if (unchanged && !out.runs.empty() && out.runs.back().unchanged) {
      out.runs.back().source_length += source_length;
      out.runs.back().length += length;
    } else if (source_length > 0) {
      out.runs.push_back({source_length, length, unchanged});
    }
  };
  while (!text.empty()) {
    const i64 settled = settled_length(text);
    out.text += text.substr(0, settled);
    add_run(settled, settled, true);
    text.remove_prefix(settled);
    if (text.empty()) {
      break;
    }
    const std::string_view cluster = text.substr(0, cluster_length(text));
    const std::string composed = compose_cluster(cluster);
    out.text += composed;
    add_run(cluster.size(), composed.size(), composed == cluster);
    text.remove_prefix(cluster.size());
  }
  return out;
}

}  // namespace inlay
