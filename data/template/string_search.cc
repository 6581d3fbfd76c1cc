// SPDX-License-Identifier: Apache-2.0
#include "data/template/string_search.h"

#include <algorithm>
#include <limits>
#include <string>

#include "data/template/characters.h"

namespace inlay::jinja {
namespace {

i64 unlimited_if_negative(i64 count) {
  return count < 0 ? std::numeric_limits<i64>::max() : count;
}

/// The runs of characters that are not white space.
std::vector<std::string_view> words(Runtime& runtime, std::string_view text) {
  std::vector<std::string_view> found;
  bool in_word = false;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    const bool space = is_space(next_code_point(text, at));
    if (in_word && space) {
      runtime.charge_objects(1);
      found.push_back(text.substr(start, here - start));
    } else if (!in_word && !space) {
      start = here;
    }
    in_word = !space;
  }
  if (in_word) {
    found.push_back(text.substr(start));
  }
  return found;
}

}  // namespace

std::vector<std::string_view> split_on(Runtime& runtime, std::string_view text,
                                       std::string_view separator, i64 most, bool from_right) {
  std::vector<std::string_view> pieces;
  for (i64 left = unlimited_if_negative(most); left > 0; --left) {
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) {
      break;
    }
    runtime.charge_objects(1);
    pieces.push_back(from_right ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(at + separator.size());
  }
  pieces.push_back(text);
  if (from_right) {
    std::reverse(pieces.begin(), pieces.end());
  }
  return pieces;
}

std::vector<std::string_view> split_on_spaces(Runtime& runtime, std::string_view text, i64 most,
                                              bool from_right) {
  std::vector<std::string_view> pieces = words(runtime, text);
  const auto count = static_cast<i64>(pieces.size());
  most = unlimited_if_negative(most);
  if (most >= count) {
    return pieces;
  }
  // What the limit left uncut keeps its white space, also that at its far end.
  if (from_right) {
    const std::string_view last = pieces[count - 1 - most];
    pieces.erase(pieces.begin(), pieces.end() - most);
    pieces.emplace(pieces.begin(), text.data(), last.data() + last.size());
  } else {
    const std::string_view first = pieces[most];
    pieces.resize(most);
    pieces.emplace_back(first.data(), text.data() + text.size());
  }
  return pieces;
}

std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    const char32_t c = next_code_point(text, at);
    if (!is_line_end(c)) {
      continue;
    }
    if (c == '\r' && at < text.size() && text[at] == '\n') {
      ++at;
    }
    runtime.charge_objects(1);
    lines.push_back(text.substr(start, (keep_ends ? at : end) - start));
    start = at;
  }
  if (start < text.size()) {
    lines.push_back(text.substr(start));
  }
  return lines;
}

Value replace_text(Runtime& runtime, std::string_view text, std::string_view from,
                   std::string_view to, i64 count) {
  runtime.charge_search(text.size(), from.size());
  count = unlimited_if_negative(count);
  std::string out;
  std::size_t at = 0;
  while (count > 0) {
    const std::size_t found = from.empty() ? at : text.find(from, at);
    if (found == std::string_view::npos) {
      break;
    }
    out += text.substr(at, found - at);
    out += to;
    --count;
    at = found + from.size();
    runtime.check_text(out.size());
    if (from.empty()) {
      // One character on; behind the last there is one more place.
      if (at >= text.size()) {
        break;
      }
      std::size_t next = at;
      next_code_point(text, next);
      out += text.substr(at, next - at);
      at = next;
    }
  }
  out += text.substr(std::min(at, text.size()));
  return runtime.text(std::move(out));
}

}  // namespace inlay::jinja
