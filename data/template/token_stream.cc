// SPDX-License-Identifier: Apache-2.0
#include "data/template/token_stream.h"

#include <algorithm>

#include "core/error.h"
#include "data/template/runtime.h"

namespace inlay::jinja {
namespace {

/// Each bracket takes three levels: a condition, a `not`, a sign. Published templates need about
/// thirty, tags included.
constexpr int kMaxLevels = 300;

}  // namespace

std::string described(const Token& token) {
  switch (token.kind) {
    case TokenKind::kText:
      return "text";
    case TokenKind::kVariableBegin:
      return "{{";
    case TokenKind::kVariableEnd:
      return "}}";
    case TokenKind::kBlockBegin:
      return "{%";
    case TokenKind::kBlockEnd:
      return "%}";
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kString:
      return str("the string \"", printable(token.text, 40), "\"");
    default:
      return str("\"", printable(token.text, 40), "\"");
  }
}

Token TokenStream::next() {
  Token token = current();
  if (!token.is(TokenKind::kEnd)) {
    ++at_;
  }
  return token;
}

bool TokenStream::take_operator(std::string_view op) {
  const bool found = current().is_operator(op);
  at_ += found ? 1 : 0;
  return found;
}

bool TokenStream::take_name(std::string_view name) {
  const bool found = current().is_name(name);
  at_ += found ? 1 : 0;
  return found;
}

void TokenStream::expect_operator(std::string_view op, std::string_view after) {
  if (!take_operator(op)) {
    fail(str("expected \"", op, "\" after ", after, ", found ", described(current())));
  }
}

void TokenStream::expect(TokenKind kind, std::string_view what) {
  if (!current().is(kind)) {
    fail(str("expected ", what, ", found ", described(current())));
  }
  next();
}

std::string TokenStream::expect_identifier(std::string_view what) {
  if (!current().is(TokenKind::kName) || is_operator_word(current().text)) {
    fail(str("expected ", what, ", found ", described(current())));
  }
  return next().text;
}

void TokenStream::fail(int line, std::string_view what) const {
  fail_at(name_, line, what);
}

TokenStream::Level::Level(TokenStream& stream) : stream_(stream) {
  if (++stream_.depth_ > kMaxLevels) {
    --stream_.depth_;
    stream_.fail("brackets, operators and tags are nested too deep");
  }
}

bool is_operator_word(std::string_view name) {
  static constexpr std::string_view kWords[] = {"and", "or", "not",  "in",
                                                "is",  "if", "elif", "else"};
  return std::find(std::begin(kWords), std::end(kWords), name) != std::end(kWords);
}

}  // namespace inlay::jinja
