// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/show.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

constexpr std::string_view kBorder = "│";
constexpr std::string_view kTrainedBegin = "«";
constexpr std::string_view kTrainedEnd = "»";
constexpr std::string_view kUnfinished = "·";
constexpr std::string_view kArrow = "→";

// Terminal codes (ECMA-48).
constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kFaint = "\x1b[2m";
constexpr std::string_view kReset = "\x1b[0m";

/// Controls, line separators and marks that turn the direction of writing around.
bool is_hidden(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

std::string escape_hidden(char32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default: {
      char text[16];
      std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
      return text;
    }
  }
}

std::string escaped(std::string_view text) {
  std::string result;
  for (i64 at = 0; at < static_cast<i64>(text.size());) {
    const CodePoint point = code_point_at(text, at);
    const std::string_view character = text.substr(at, point.length);
    at += point.length;
    if (is_hidden(point.value)) {
      result += escape_hidden(point.value);
      continue;
    }
    for (const std::string_view mark :
         {std::string_view("\\"), kBorder, kTrainedBegin, kTrainedEnd, kUnfinished, kArrow}) {
      result += character == mark ? "\\" : "";
    }
    result += character;
  }
  return result;
}

bool has_piece(const Tokenizer* tokenizer, i32 id) {
  return tokenizer != nullptr && !tokenizer->piece(id).empty();
}

/// A token without those around it.
std::string shown_alone(const Tokenizer* tokenizer, i32 id) {
  return has_piece(tokenizer, id) ? escaped(tokenizer->decode(std::span(&id, 1)))
                                  : std::to_string(id);
}

/// Each token as text.
std::vector<std::string> shown_tokens(const std::vector<i32>& ids, const Tokenizer* tokenizer) {
  std::vector<std::string> shown;
  if (tokenizer == nullptr) {
    for (const i32 id : ids) {
      shown.push_back(std::to_string(id));
    }
    return shown;
  }
  TokenStream stream(*tokenizer);
  for (const i32 id : ids) {
    const std::string text = escaped(stream.push(id));
    if (!has_piece(tokenizer, id)) {
      shown.push_back(text + std::to_string(id));
    } else {
      shown.push_back(text.empty() ? std::string(kUnfinished) : text);
    }
  }
  // Bytes of a character that never ended: they show at the last token.
  const std::string rest = escaped(stream.finish());
  if (!rest.empty()) {
    shown.back() = (shown.back() == kUnfinished ? "" : shown.back()) + rest;
  }
  return shown;
}

bool is_trained(const Example& example, i64 t) {
  return t > 0 && t < static_cast<i64>(example.ids.size()) && example.labels[t] != kIgnoreLabel;
}

/// What stands before token t, or behind the last.
std::string_view mark_before(const Example& example, i64 t) {
  const bool before = is_trained(example, t - 1);
  const bool now = is_trained(example, t);
  if (before != now) {
    return now ? kTrainedBegin : kTrainedEnd;
  }
  return t == 0 || t == static_cast<i64>(example.ids.size()) ? std::string_view() : kBorder;
}

std::string coloured(const std::string& token, bool trained, bool special) {
  return str(trained ? kGreen : "", special ? kBold : "", token, trained || special ? kReset : "");
}

std::string tokens_line(const Example& example, const Tokenizer* tokenizer, bool colour) {
  std::vector<std::string> shown = shown_tokens(example.ids, tokenizer);
  std::string line;
  for (i64 t = 0; t < static_cast<i64>(shown.size()); ++t) {
    const bool trained = is_trained(example, t);
    if (trained && example.labels[t] != example.ids[t]) {
      shown[t] += str(kArrow, shown_alone(tokenizer, example.labels[t]));
    }
    if (!colour) {
      line += str(mark_before(example, t), shown[t]);
      continue;
    }
    const bool special = tokenizer != nullptr && tokenizer->is_special(example.ids[t]);
    line += t == 0 ? "" : str(kFaint, kBorder, kReset);
    line += coloured(shown[t], trained, special);
  }
  if (!colour) {
    line += mark_before(example, static_cast<i64>(shown.size()));
  }
  return line;
}

i64 whole_length(const Example& example, const ShowOptions& options) {
  return std::max<i64>(options.length, example.ids.size());
}

}  // namespace

std::string show_example(const Example& example, const Tokenizer* tokenizer,
                         const ShowOptions& options) {
  const i64 kept = example.ids.size();
  const i64 length = whole_length(example, options);
  return str("line ", example.line, ": ", kept, kept == 1 ? " token" : " tokens",
             length > kept ? str(" of ", length) : "", ", ", example.trained(), " trained\n",
             tokens_line(example, tokenizer, options.colour), "\n");
}

std::string example_json(const Example& example, const Tokenizer* tokenizer,
                         const ShowOptions& options) {
  nlohmann::ordered_json json = {{"line", example.line},
                                 {"length", whole_length(example, options)},
                                 {"ids", example.ids},
                                 {"labels", example.labels}};
  if (tokenizer != nullptr) {
    json["pieces"] = nlohmann::ordered_json::array();
    for (const i32 id : example.ids) {
      json["pieces"].push_back(tokenizer->piece(id));
    }
  }
  return json.dump();
}

}  // namespace inlay
