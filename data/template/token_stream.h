// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/template/lexer.h"

/// The tokens of a template as its parsers walk over them, and the depth they may reach.
namespace inlay::jinja {

/// How a message names a token.
std::string described(const Token& token);

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string_view name)
      : tokens_(std::move(tokens)), name_(name) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  /// The current token, moving on; the last one stays.
  Token next();
  bool take_operator(std::string_view op);
  bool take_name(std::string_view name);
  /// Fail unless the current token is this one.
  void expect_operator(std::string_view op, std::string_view after);
  void expect(TokenKind kind, std::string_view what);
  /// A name that is no operator word such as `in`.
  std::string expect_identifier(std::string_view what);

  [[noreturn]] void fail(std::string_view what) const { fail(line(), what); }
  [[noreturn]] void fail(int line, std::string_view what) const;

  /// Holds one level of the parser's recursion for as long as it lives.
  class Level {
   public:
    explicit Level(TokenStream& stream);
    ~Level() { --stream_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenStream& stream_;
  };

 private:
  std::vector<Token> tokens_;
  std::string_view name_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

/// Words that are operators wherever an expression may stand.
bool is_operator_word(std::string_view name);

}  // namespace inlay::jinja
