// SPDX-License-Identifier: Apache-2.0
#include "data/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>

#include "core/error.h"
#include "data/text/utf8.h"

// Normalisation works on clusters: a text may be cut before any code point that no composition or
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

constexpr bool composes(NormalizationForm form) {
  return form == NormalizationForm::kC || form == NormalizationForm::kKC;
}

constexpr bool is_compatible(NormalizationForm form) {
  return form == NormalizationForm::kKC || form == NormalizationForm::kKD;
}

/// Full decomposition, appended.
void append_decomposition(std::vector<utf8proc_int32_t>& out, char32_t code_point,
                          NormalizationForm form) {
  // The longest canonical decomposition of a code point is four, the longest other one 18.
  utf8proc_int32_t buffer[32];
  int boundary_class = 0;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (is_compatible(form) ? UTF8PROC_COMPAT : 0));
  const utf8proc_ssize_t length = utf8proc_decompose_char(
      as_int(code_point), buffer, std::size(buffer), options, &boundary_class);
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
bool starts_cluster(char32_t code_point, NormalizationForm form) {
  if (code_point < kFirstMark) {
    return true;
  }
  std::vector<utf8proc_int32_t> decomposition;
  append_decomposition(decomposition, code_point, form);
  return combining_class(decomposition[0]) == 0 && !composes_backwards(decomposition[0]);
}

i64 cluster_length(std::string_view text, NormalizationForm form) {
  i64 length = code_point_at(text, 0).length;
  while (length < static_cast<i64>(text.size())) {
    const CodePoint next = code_point_at(text, length);
    if (starts_cluster(next.value, form)) {
      break;
    }
    length += next.length;
  }
  return length;
}

std::string normalized_cluster(std::string_view cluster, NormalizationForm form) {
  std::vector<utf8proc_int32_t> points;
  for (i64 at = 0; at < static_cast<i64>(cluster.size());) {
    const CodePoint point = code_point_at(cluster, at);
    append_decomposition(points, point.value, form);
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
  utf8proc_ssize_t length = static_cast<utf8proc_ssize_t>(points.size());
  if (composes(form)) {
    length = utf8proc_normalize_utf32(
        points.data(), length, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  }
  std::string out;
  for (i64 i = 0; i < length; ++i) {
    append_utf8(out, static_cast<char32_t>(points[i]));
  }
  return out;
}

/// Whether `code_point` alone is in the form and starts a cluster, told without decomposing it:
/// almost all text is of such code points.
bool is_plain(char32_t code_point, NormalizationForm form) {
  if (code_point < (form == NormalizationForm::kC ? kFirstMark : 0x80)) {
    return true;
  }
  const utf8proc_property_t* property = utf8proc_get_property(as_int(code_point));
  // Hangul syllables decompose by arithmetic, not by the table.
  const bool syllable = code_point >= 0xAC00 && code_point <= 0xD7A3;
  return property->combining_class == 0 && property->decomp_seqindex == UINT16_MAX &&
         !composes_backwards(as_int(code_point)) && (composes(form) || !syllable);
}

/// Length of the front of `text` that is in the form and ends where the rest can be looked at alone.
i64 settled_length(std::string_view text, NormalizationForm form) {
  const i64 size = text.size();
  i64 length = 0;
  i64 last = 0;
  while (length < size) {
    const CodePoint point = code_point_at(text, length);
    if (!is_plain(point.value, form)) {
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

bool is_mark(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(as_int(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

void append_lower(std::string& out, char32_t c) {
  constexpr char32_t kDottedI = 0x130;
  append_utf8(out, c == kDottedI ? U'i' : static_cast<char32_t>(utf8proc_tolower(as_int(c))));
  if (c == kDottedI) {
    append_utf8(out, 0x307);
  }
}

i64 grapheme_length(std::string_view text) {
  CodePoint point = code_point_at(text, 0);
  i64 length = point.length;
  utf8proc_int32_t state = 0;
  while (length < static_cast<i64>(text.size())) {
    const CodePoint next = code_point_at(text, length);
    if (utf8proc_grapheme_break_stateful(as_int(point.value), as_int(next.value), &state) != 0) {
      break;
    }
    length += next.length;
    point = next;
  }
  return length;
}

void NormalizedText::keep(std::string_view source) {
  const i64 size = static_cast<i64>(source.size());
  if (size == 0) {
    return;
  }
  text += source;
  if (!runs.empty() && runs.back().unchanged) {
    runs.back().source_length += size;
    runs.back().length += size;
  } else {
    runs.push_back({size, size, true});
  }
}

void NormalizedText::replace(i64 source_length, std::string_view changed) {
  text += changed;
  if (source_length > 0 || !changed.empty()) {
    runs.push_back({source_length, static_cast<i64>(changed.size()), false});
  }
}

NormalizedText normalize(std::string_view text, NormalizationForm form) {
  NormalizedText out;
  out.text.reserve(text.size());
  while (!text.empty()) {
    const i64 settled = settled_length(text, form);
    out.keep(text.substr(0, settled));
    text.remove_prefix(settled);
    if (text.empty()) {
      break;
    }
    const std::string_view cluster = text.substr(0, cluster_length(text, form));
    const std::string changed = normalized_cluster(cluster, form);
    if (changed == cluster) {
      out.keep(cluster);
    } else {
      out.replace(static_cast<i64>(cluster.size()), changed);
    }
    text.remove_prefix(cluster.size());
  }
  return out;
}

}  // namespace inlay
