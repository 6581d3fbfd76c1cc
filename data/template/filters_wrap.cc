// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/builtins.h"
#include "data/template/characters.h"
#include "data/template/string_search.h"

/// Jinja's wordwrap, which is Python's textwrap line by line.
namespace inlay::jinja {
namespace {

using Letters = std::u32string;

struct WrapOptions {
  i64 width = 79;
  bool break_long_words = true;
  bool break_on_hyphens = true;
};

/// textwrap's idea of white space, which is ASCII's.
bool is_blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == ' ';
}
bool is_word(char32_t c) {
  return is_letter(c) || is_number_character(c) || c == '_';
}
bool is_word_or_mark(char32_t c) {
  return is_word(c) || (c < 0x80 && std::u32string_view(U"!\"'&.,?").find(c) != Letters::npos);
}
bool is_hyphenated(char32_t c) {
  return is_word(c) && !is_decimal(c);
}

/// Cuts a line where it may be broken: at blanks, which are pieces themselves, behind hyphens
/// within words, and around dashes of two hyphens or more.
class Splitter {
 public:
  Splitter(const Letters& line, bool at_hyphens) : line_(line), at_hyphens_(at_hyphens) {}

  std::vector<Letters> run() {
    std::vector<Letters> pieces;
    for (std::size_t at = 0; at < line_.size();) {
      const std::size_t end = end_of_piece(at);
      pieces.push_back(line_.substr(at, end - at));
      at = end;
    }
    return pieces;
  }

 private:
  bool holds(std::size_t at, bool (*property)(char32_t)) const {
    return at < line_.size() && property(line_[at]);  // a position before the start wraps around
  }
  bool hyphen(std::size_t at) const { return at < line_.size() && line_[at] == '-'; }

  /// Where the dash at `at` ends, which stands between words; or `at`.
  std::size_t dash(std::size_t at) const {
    std::size_t end = at;
    while (hyphen(end)) {
      ++end;
    }
    const bool between = holds(at - 1, is_word_or_mark) && holds(end, is_word);
    return end - at >= 2 && between ? end : at;
  }

  /// A hyphen behind two letters, or behind a letter, a hyphen and a letter, and before two
  /// letters.
  bool breaks_behind(std::size_t at) const {
    const bool before = holds(at - 1, is_hyphenated) &&
                        (holds(at - 2, is_hyphenated) ||
                         (at >= 3 && hyphen(at - 2) && holds(at - 3, is_hyphenated)));
    const std::size_t second = at + (hyphen(at + 2) ? 3 : 2);
    return hyphen(at) && before && holds(at + 1, is_hyphenated) && holds(second, is_hyphenated);
  }

  std::size_t end_of_piece(std::size_t at) const {
    std::size_t end = at;
    if (is_blank(line_[at])) {
      while (holds(end, is_blank)) {
        ++end;
      }
      return end;
    }
    if (at_hyphens_ && at > 0 && dash(at) > at) {
      return dash(at);
    }
    for (end = at + 1; end < line_.size() && !is_blank(line_[end]); ++end) {
      if (at_hyphens_ && breaks_behind(end)) {
        return end + 1;
      }
      if (at_hyphens_ && dash(end) > end) {
        return end;
      }
    }
    return end;
  }

  const Letters& line_;
  bool at_hyphens_;
};

/// As much of a word that is longer than a line as still fits on this one.
std::size_t part_of_long_word(const Letters& word, std::size_t room, bool at_hyphens) {
  const std::size_t hyphen = room == 0 ? Letters::npos : word.rfind('-', room - 1);
  const bool useful =
      at_hyphens && hyphen != Letters::npos && hyphen > 0 && word.find_first_not_of(U"-") < hyphen;
  return useful ? hyphen + 1 : room;
}

bool is_all_blank(const Letters& piece) {
  return std::ranges::all_of(piece, is_space);
}

std::vector<Letters> wrapped(Runtime& runtime, const Letters& text, const WrapOptions& options) {
  std::vector<Letters> pieces = Splitter(text, options.break_on_hyphens).run();
  std::ranges::reverse(pieces);
  const auto width = static_cast<std::size_t>(options.width);
  std::vector<Letters> lines;
  while (!pieces.empty()) {
    if (is_all_blank(pieces.back()) && !lines.empty()) {
      pieces.pop_back();
    }
    std::vector<Letters> line;
    std::size_t length = 0;
    while (!pieces.empty() && length + pieces.back().size() <= width) {
      length += pieces.back().size();
      line.push_back(std::move(pieces.back()));
      pieces.pop_back();
    }
    if (!pieces.empty() && pieces.back().size() > width) {
      if (options.break_long_words) {
        const std::size_t part =
            part_of_long_word(pieces.back(), width - length, options.break_on_hyphens);
        line.push_back(pieces.back().substr(0, part));
        runtime.charge_text(pieces.back().size());  // what stays is moved, line by line
        pieces.back().erase(0, part);
      } else if (line.empty()) {
        line.push_back(std::move(pieces.back()));
        pieces.pop_back();
      }
    }
    if (!line.empty() && is_all_blank(line.back())) {
      line.pop_back();
    }
    if (!line.empty()) {
      Letters& joined = lines.emplace_back();
      for (const Letters& piece : line) {
        joined += piece;
      }
    }
  }
  return lines;
}

Value wordwrap(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!self.is(Kind::kString)) {
    runtime.fail(self.is(Kind::kUndefined)
                     ? self.why_undefined()
                     : str("wordwrap: needs a string, not ", self.type_name()));
  }
  WrapOptions options;
  options.width = arguments.integer(0, 79, "the width");
  options.break_long_words = arguments.flag(1, true);
  options.break_on_hyphens = arguments.flag(3, true);
  const std::string between = arguments.has(2) ? arguments.string(2, "the wrapstring") : "\n";
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(runtime, self.as_string(), /*keep_ends=*/false)) {
    if (options.width <= 0) {
      runtime.fail("wordwrap: the width must be at least 1");
    }
    Letters text;
    for (std::size_t at = 0; at < line.size();) {
      text += next_code_point(line, at);
    }
    runtime.charge(static_cast<i64>(text.size()));
    out += first ? "" : between;
    first = false;
    const std::vector<Letters> lines = wrapped(runtime, text, options);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      out += i == 0 ? "" : between;
      for (const char32_t c : lines[i]) {
        append_code_point(out, c);
      }
    }
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

}  // namespace

const std::vector<Builtin>& wrap_filters() {
  static const std::vector<Builtin> table = {
      {"wordwrap", {{"width", "break_long_words", "wrapstring", "break_on_hyphens"}}, wordwrap},
  };
  return table;
}

}  // namespace inlay::jinja
