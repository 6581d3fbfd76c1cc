// SPDX-License-Identifier: Apache-2.0
#include "data/template/string_literal.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "data/template/characters.h"

namespace inlay::jinja {
namespace {

/// The digits of a numeric escape, in the given base, from 1 or exactly `most` digits.
struct Digits {
  char32_t value = 0;
  std::size_t count = 0;
};

Digits read_digits(std::string_view text, std::size_t most, int base) {
  unsigned value = 0;
  const std::string_view digits = text.substr(0, std::min(most, text.size()));
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  return {value, static_cast<std::size_t>(end.ptr - digits.data())};
}

class Unescaper {
 public:
  Unescaper(std::string_view inside, std::string& error) : rest_(inside), error_(error) {}

  std::string run() {
    while (!rest_.empty() && error_.empty()) {
      const std::size_t plain = std::min(rest_.find('\\'), rest_.size());
      out_ += take(plain);
      if (!rest_.empty()) {
        take(1);
        escape();
      }
    }
    return std::move(out_);
  }

 private:
  std::string_view take(std::size_t bytes) {
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  void escape() {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = rest_.empty() ? '\0' : rest_[0];
    const std::size_t simple = kLetters.find(c);
    if (c == '\n') {
      take(1);  // a line continued
    } else if (c != '\0' && simple != std::string_view::npos) {
      out_ += kMeanings[simple];
      take(1);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      take(1);
      numeric(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c >= '0' && c <= '7') {
      const Digits digits = read_digits(rest_, 3, 8);
      take(digits.count);
      append_code_point(out_, digits.value);
    } else if (c == 'N') {
      error_ = "the escape \\N{…} is not supported; \\u has the character by its number";
    } else {
      out_ += '\\';
    }
  }

  void numeric(std::size_t length) {
    const Digits digits = read_digits(rest_, length, 16);
    if (digits.count != length) {
      error_ = str("a numeric escape in a string needs ", length, " hexadecimal digits");
    } else if (digits.value > 0x10FFFF || (digits.value >= 0xD800 && digits.value < 0xE000)) {
      error_ = "a numeric escape in a string is not a character";
    } else {
      append_code_point(out_, digits.value);
      take(length);
    }
  }

  std::string_view rest_;
  std::string& error_;
  std::string out_;
};

}  // namespace

std::size_t quoted_length(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == text[0]) {
      return i + 1;
    }
  }
  return 0;
}

std::string unescaped(std::string_view inside, std::string& error) {
  return Unescaper(inside, error).run();
}

}  // namespace inlay::jinja
