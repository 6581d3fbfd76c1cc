// SPDX-License-Identifier: Apache-2.0
#include "data/template/lexer.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/template/characters.h"
#include "data/template/number_text.h"
#include "data/template/runtime.h"
#include "data/template/string_literal.h"
#include "data/text/ascii.h"

namespace inlay::jinja {
namespace {

/// Published chat templates stay below 100 kB.
constexpr std::size_t kMaxSource = std::size_t{1} << 20;

bool is_hex_letter(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

/// Line ends become \n, and the last one goes.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      i += source.substr(i + 1).starts_with('\n') ? 1 : 0;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) {
    out.pop_back();
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, std::string_view name) : name_(name) {
    if (source.size() > kMaxSource) {
      fail(str("the template is longer than ", kMaxSource, " bytes"));
    }
    const i64 invalid = first_invalid_byte(source);
    if (invalid >= 0) {
      const auto end = source.begin() + invalid;
      line_ += static_cast<int>(std::count(source.begin(), end, '\n'));
      fail("the template is not valid UTF-8");
    }
    // After the check: the line of a bad byte is counted in the source as it came.
    source_ = normalized(source);
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      lex_text();
    }
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const { fail_at(name_, line_, what); }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  /// Moves behind the next `bytes` bytes.
  void skip(std::size_t bytes) {
    const auto begin = source_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(bytes), '\n'));
    at_ += bytes;
  }
  void skip_spaces() { skip(rest().size() - strip(rest(), Side::kLeft).size()); }
  bool take(std::string_view text) {
    const bool found = rest().starts_with(text);
    skip(found ? text.size() : 0);
    return found;
  }

  /// Text up to the next tag, and that tag with what is in it.
  void lex_text() {
    const std::size_t open = next_open();
    if (open == std::string::npos) {
      add_text(rest());
      skip(rest().size());
      return;
    }
    const char kind = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    add_text(before_tag(open, sign, /*strips_line_start=*/kind != '{'));
    skip(open - at_);
    // Before the tag's tokens are looked at: what is raw need not be tokens.
    if (kind == '%' && lex_raw()) {
      return;
    }
    skip(sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#') {
      skip_comment();
    } else {
      lex_tag(kind == '%');
    }
  }

  std::size_t next_open() const {
    for (std::size_t i = at_; i + 1 < source_.size(); ++i) {
      const char next = source_[i + 1];
      if (source_[i] == '{' && (next == '{' || next == '%' || next == '#')) {
        return i;
      }
    }
    return std::string::npos;
  }

  /// The text from here to the tag at `open` as its white space rules leave it.
  std::string_view before_tag(std::size_t open, char sign, bool strips_line_start) const {
    const std::string_view text = rest().substr(0, open - at_);
    if (sign == '-') {
      return strip(text, Side::kRight);
    }
    if (sign == '+' || !strips_line_start) {
      return text;
    }
    const std::size_t line_start = text.rfind('\n') + 1;  // npos + 1 is 0
    const bool starts_line = line_start > 0 || at_ == 0 || source_[at_ - 1] == '\n';
    const bool blank = strip(text.substr(line_start)).empty();
    return starts_line && blank ? text.substr(0, line_start) : text;
  }

  void add_text(std::string_view text) {
    if (!text.empty()) {
      add(TokenKind::kText, std::string(text));
    }
  }

  /// After the sign at the end of a tag: what of the following text goes.
  void skip_after(char sign, bool trims) {
    if (sign == '-') {
      skip_spaces();
    } else if (sign != '+' && trims) {
      take("\n");
    }
  }

  void skip_comment() {
    const std::size_t end = rest().find("#}");
    if (end == std::string_view::npos) {
      fail("the comment {# is not closed by #}");
    }
    const char sign = end > 0 ? rest()[end - 1] : '\0';
    skip(end + 2);
    skip_after(sign, /*trims=*/true);
  }

  /// `{% word %}` at `from`, which stands at a "{%": its length with its closing sign, or 0.
  std::size_t bare_tag(std::size_t from, std::string_view word, char& end_sign) const {
    std::string_view tag = std::string_view(source_).substr(from + 2);
    const auto drop = [&](bool matches, std::size_t bytes) {
      tag.remove_prefix(matches ? bytes : 0);
      return matches;
    };
    drop(tag.starts_with('-') || tag.starts_with('+'), 1);
    tag = strip(tag, Side::kLeft);
    if (!drop(tag.starts_with(word), word.size())) {
      return 0;
    }
    tag = strip(tag, Side::kLeft);
    end_sign = tag.starts_with('-') || tag.starts_with('+') ? tag[0] : '\0';
    drop(end_sign != '\0', 1);
    return drop(tag.starts_with("%}"), 2) ? source_.size() - from - tag.size() : 0;
  }

  /// {% raw %} … {% endraw %}, if it stands here.
  bool lex_raw() {
    char sign = '\0';
    const std::size_t begin = bare_tag(at_, "raw", sign);
    if (begin == 0 || sign == '+') {
      return false;
    }
    skip(begin);
    skip_after(sign, /*trims=*/false);
    for (std::size_t open = source_.find("{%", at_); open != std::string::npos;
         open = source_.find("{%", open + 1)) {
      if (const std::size_t length = bare_tag(open, "endraw", sign); length > 0) {
        add_text(before_tag(open, source_[open + 2], /*strips_line_start=*/true));
        skip(open + length - at_);
        skip_after(sign, /*trims=*/true);
        return true;
      }
    }
    fail("{% raw %} is not closed by {% endraw %}");
  }

  /// The tokens of a {{ … }} or {% … %} whose opening has been passed.
  void lex_tag(bool block) {
    add(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "");
    std::string open_brackets;
    const int start = line_;
    // Inside brackets "}}" ends two dicts, not the tag.
    while (!(open_brackets.empty() && take_tag_end(block))) {
      skip_spaces();
      if (at_ >= source_.size()) {
        // Where the tag begins says more than the end of the template.
        line_ = start;
        fail(str("the tag ", block ? "{%" : "{{", " is not closed"));
      }
      if (!(open_brackets.empty() && at_tag_end(block))) {
        lex_token(open_brackets);
      }
    }
  }

  bool at_tag_end(bool block) const {
    const std::string_view close = block ? "%}" : "}}";
    const bool sign = rest().starts_with('-') || (block && rest().starts_with('+'));
    return rest().substr(sign ? 1 : 0).starts_with(close);
  }

  bool take_tag_end(bool block) {
    if (!at_tag_end(block)) {
      return false;
    }
    add(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
    const char sign = rest()[0];
    skip(sign == '-' || sign == '+' ? 3 : 2);
    skip_after(sign, block);
    return true;
  }

  void lex_token(std::string& open_brackets) {
    const char c = rest()[0];
    if (is_digit(c)) {
      lex_number();
    } else if (is_name_start(c)) {
      const auto end = std::find_if_not(rest().begin(), rest().end(), is_name_part);
      add(TokenKind::kName, std::string(rest().begin(), end));
      skip(tokens_.back().text.size());
    } else if (c == '\'' || c == '"') {
      lex_string();
    } else {
      lex_operator(open_brackets);
    }
  }

  void lex_string() {
    const std::size_t length = quoted_length(rest());
    if (length == 0) {
      fail("a string is not closed by its quote");
    }
    const std::string_view inside = rest().substr(1, length - 2);
    std::string error;
    std::string text = unescaped(inside, error);
    if (!error.empty()) {
      fail(error);
    }
    add(TokenKind::kString, std::move(text));
    skip(length);
  }

  /// The digits from `from` on, with single underscores between them.
  std::size_t digits_end(std::size_t from) const {
    std::size_t end = from;
    while (end < source_.size() &&
           (is_digit(source_[end]) || (end > from && source_[end] == '_' &&
                                       end + 1 < source_.size() && is_digit(source_[end + 1])))) {
      ++end;
    }
    return end;
  }

  /// Where a float that begins here ends, or 0 if none does. Behind a dot there are only integers:
  /// x.1.2 is x[1][2].
  std::size_t float_end() const {
    if (at_ > 0 && source_[at_ - 1] == '.') {
      return 0;
    }
    const std::size_t whole = digits_end(at_);
    std::size_t end = whole;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      end = digits_end(end + 1);
    }
    if (end < source_.size() && (source_[end] | 0x20) == 'e') {
      const bool sign =
          end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
      const std::size_t digits = end + (sign ? 2 : 1);
      end = digits < source_.size() && is_digit(source_[digits]) ? digits_end(digits) : end;
    }
    return end > whole ? end : 0;
  }

  void lex_number() {
    const std::size_t end = float_end();
    if (end == 0) {
      lex_integer();
      return;
    }
    const std::string text = source_.substr(at_, end - at_);
    add(TokenKind::kFloat, text);
    tokens_.back().number = parse_float(text).value_or(0.0);
    skip(text.size());
  }

  /// 16, 8 or 2 when a prefix and a digit stand here, else 10: "0or" is 0 and `or`.
  i64 integer_base() const {
    const std::string_view start = rest().substr(0, 3);
    if (start.size() < 3 || start[0] != '0' || !(is_digit(start[2]) || is_hex_letter(start[2]))) {
      return 10;
    }
    const char letter = static_cast<char>(start[1] | 0x20);
    return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
  }

  void lex_integer() {
    const i64 base = integer_base();
    const auto name_end = std::find_if_not(rest().begin(), rest().end(), is_name_part);
    const std::size_t end =
        base == 10 ? digits_end(at_) : at_ + static_cast<std::size_t>(name_end - rest().begin());
    const std::string text = source_.substr(at_, end - at_);
    const ParsedInteger parsed = parse_integer(text, base);
    if (!parsed.value.has_value()) {
      fail(str(printable(text),
               parsed.too_large ? " does not fit in a 64-bit integer" : " is not a number"));
    }
    // As in Python, where 010 is an error and 00 is 0.
    if (base == 10 && text.size() > 1 && text[0] == '0' && *parsed.value != 0) {
      fail(str(printable(text), ": a number does not begin with 0"));
    }
    add(TokenKind::kInteger, text);
    tokens_.back().integer = *parsed.value;
    skip(text.size());
  }

  void lex_operator(std::string& open_brackets) {
    static constexpr std::string_view kOperators[] = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ".", ",", ":", "|"};
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [&](std::string_view op) { return rest().starts_with(op); });
    if (found == std::end(kOperators)) {
      std::size_t end = 0;
      next_code_point(rest(), end);
      fail(str("unexpected character \"", printable(rest().substr(0, end)), "\""));
    }
    static constexpr std::string_view kOpen = "([{";
    static constexpr std::string_view kClose = ")]}";
    if (kOpen.find(*found) != std::string_view::npos) {
      open_brackets += kClose[kOpen.find(*found)];
    } else if (kClose.find(*found) != std::string_view::npos) {
      if (open_brackets.empty()) {
        fail(str("\"", *found, "\" closes no bracket"));
      }
      if (open_brackets.back() != found->front()) {
        fail(str("expected \"", open_brackets.back(), "\", found \"", *found, "\""));
      }
      open_brackets.pop_back();
    }
    add(TokenKind::kOperator, std::string(*found));
    skip(found->size());
  }

  std::string_view name_;
  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source, std::string_view name) {
  return Lexer(source, name).run();
}

}  // namespace inlay::jinja
