// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/normalizer_steps.h"

#include <utility>
#include <vector>

#include "data/text/utf8.h"

namespace inlay {
namespace {

/// A step that is a function `text -> NormalizedText`.
template <class Function>
class FunctionStep final : public NormalizerStep {
 public:
  explicit FunctionStep(Function function) : function_(std::move(function)) {}
  NormalizedText apply(std::string_view text) const override { return function_(text); }

 private:
  Function function_;
};

template <class Function>
NormalizerStepPtr step(Function function) {
  return std::make_shared<FunctionStep<Function>>(std::move(function));
}

/// A step that changes each character by itself: `map(character, out)` appends what it becomes.
template <class Map>
NormalizerStepPtr each_character(Map map) {
  return step([map](std::string_view text) {
    NormalizedText out;
    std::string changed;
    for (i64 at = 0; at < static_cast<i64>(text.size());) {
      const CodePoint point = code_point_at(text, at);
      const std::string_view before = text.substr(at, point.length);
      changed.clear();
      map(point.value, changed);
      if (changed == before) {
        out.keep(before);
      } else {
        out.replace(point.length, changed);
      }
      at += point.length;
    }
    return out;
  });
}

constexpr bool is_nmt_control(char32_t c) {
  return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
         c == 0x8F || c == 0x9F;
}

constexpr bool is_nmt_blank(char32_t c) {
  return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
         c == 0xFFFD;
}

}  // namespace

NormalizerStepPtr normalization_form(NormalizationForm form) {
  return step([form](std::string_view text) { return normalize(text, form); });
}

NormalizerStepPtr lowercase() {
  return each_character([](char32_t c, std::string& out) { append_lower(out, c); });
}

NormalizerStepPtr strip_accents() {
  return each_character([](char32_t c, std::string& out) {
    if (!is_mark(c)) {
      append_utf8(out, c);
    }
  });
}

NormalizerStepPtr strip(bool left, bool right) {
  return step([left, right](std::string_view text) {
    i64 begin = 0;
    i64 end = static_cast<i64>(text.size());
    while (left && begin < end) {
      const CodePoint point = code_point_at(text, begin);
      if (!is_white_space(point.value)) {
        break;
      }
      begin += point.length;
    }
    while (right && end > begin) {
      const i64 last = previous_code_point(text, end);
      if (!is_white_space(code_point_at(text, last).value)) {
        break;
      }
      end = last;
    }
    NormalizedText out;
    out.replace(begin, {});
    out.keep(text.substr(begin, end - begin));
    out.replace(static_cast<i64>(text.size()) - end, {});
    return out;
  });
}

NormalizerStepPtr prepend(std::string prefix) {
  return step([prefix = std::move(prefix)](std::string_view text) {
    NormalizedText out;
    if (!text.empty()) {
      out.replace(0, prefix);
    }
    out.keep(text);
    return out;
  });
}

NormalizerStepPtr replace(Regex pattern, std::string content) {
  return step([pattern = std::move(pattern), content = std::move(content)](std::string_view text) {
    std::vector<Regex::Match> matches;
    pattern.find_all(text, matches);
    NormalizedText out;
    i64 at = 0;
    for (const Regex::Match& match : matches) {
      out.keep(text.substr(at, match.begin - at));
      out.replace(match.end - match.begin, content);
      at = match.end;
    }
    out.keep(text.substr(at));
    return out;
  });
}

NormalizerStepPtr nmt() {
  return each_character([](char32_t c, std::string& out) {
    if (!is_nmt_control(c)) {
      append_utf8(out, is_nmt_blank(c) ? U' ' : c);
    }
  });
}

}  // namespace inlay
