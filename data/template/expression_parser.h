// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "data/template/syntax.h"
#include "data/template/token_stream.h"

/// Expressions by recursive descent, weakest operator first:
///
///   a if b else c · or · and · not · comparisons, in · + - · ~ · * / // % · ** · sign · .x [x] (x)
///   · |x, is x
///
/// Two of Jinja's surprises are kept: ~ binds tighter than +, and a filter tighter than any
/// operator except that -x|f is (-x)|f.
namespace inlay::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// What may stand alone in a tag: an expression, or several with commas, which make a tuple.
  /// Without `conditional` an `if` ends it, as in `for x in items if x`.
  ExpressionPtr parse_tuple(bool conditional = true);
  ExpressionPtr parse();
  /// {{ … }}: here alone may `safe` and `escape` stand, as the last filter.
  ExpressionPtr parse_output();
  /// The filters of {% set x | f | g %}.
  std::vector<Applied> parse_filters_of_block();

  /// Names that mean something of their own in a macro's body are refused there.
  void enter_macro() { ++macros_; }
  void leave_macro() { --macros_; }

 private:
  /// An expression and its height as a tree.
  struct Node {
    ExpressionPtr expression;
    int height = 0;
  };
  struct ParsedArguments {
    ArgumentList list;
    int height = 0;
  };

  /// An expression around parts, the highest of them `height` high.
  template <class Payload>
  Node make(int line, int height, Payload payload) const;
  Node tuple(bool with_condition);
  Node conditional();
  Node logical_or();
  Node logical(std::string_view word);
  Node negation();
  Node comparison();
  Node left_to_right(Node (ExpressionParser::*operand)(),
                     std::initializer_list<std::string_view> operators);
  Node sum();
  Node concatenation();
  Node product();
  Node power();
  Node filtered_value();
  Node signed_value();
  Node postfix(Node node);
  Node filters_and_tests(Node node);
  Node primary();
  Node name();
  Node parenthesis();
  Node list();
  Node dict();
  Node subscript(Node object);
  Node slice(Node object, Node* start, int line);
  Node call(Node callee);
  Node filter(Node subject);
  Node test(Node subject);

  void check_new(const ArgumentList& list, const std::string& name) const;
  ParsedArguments arguments(std::string_view callee);
  ParsedArguments test_arguments();
  std::string comparison_operator();
  [[noreturn]] void fail_html_filter(int line) const;

  TokenStream& tokens_;
  int macros_ = 0;
  /// Where in the current output such a filter stood, or 0.
  int html_filter_line_ = 0;
};

}  // namespace inlay::jinja
