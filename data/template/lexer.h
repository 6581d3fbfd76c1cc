// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// Template source to tokens, with the white space rules Transformers sets: trim_blocks (a line end
/// behind a block tag is dropped), lstrip_blocks (so are blanks before a block tag that starts its
/// line), the signs {%- -%} {%+ and +%}, and one line end at the end of the source dropped.
namespace inlay::jinja {

enum class TokenKind {
  kText,           // outside of tags, as it will be printed
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  int line;
  /// The text, name or operator; a string without quotes and escapes.
  std::string text;
  i64 integer = 0;
  double number = 0;

  bool is(TokenKind other) const { return kind == other; }
  bool is_operator(std::string_view op) const { return is(TokenKind::kOperator) && text == op; }
  bool is_name(std::string_view name) const { return is(TokenKind::kName) && text == name; }
};

/// The tokens, the last a kEnd. Throws DataError `name: line 3: …`.
std::vector<Token> tokenize(std::string_view source, std::string_view name);

}  // namespace inlay::jinja
