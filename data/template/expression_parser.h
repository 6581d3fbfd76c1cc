// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/template/syntax.h"
#include "data/template/token_stream.h"

/// Expressions by recursive descent, weakest operator first:
///
///   a if b else c · or · and · not · comparisons, in · + - · ~ · * / // % · ** · sign
///   · .x [x] (x) · |x, is x
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
  /// What must be a call, in {% call %}.
  ExpressionPtr parse_call();
  /// The filters of {% set x | f | g %}.
  std::vector<Applied> parse_filters_of_block();
  /// The same where the first has no bar before it: {% filter f | g %}.
  std::vector<Applied> parse_filters();

  /// In a macro's body, names that mean something of their own there are noted.
  void enter_macro(Macro& macro) { macros_.push_back(&macro); }
  void leave_macro() { macros_.pop_back(); }

  /// What is parsed for as long as the guard lives need not be reached, so that unknown filters and
  /// tests are no error yet.
  class Conditionally {
   public:
    explicit Conditionally(ExpressionParser& parser) : parser_(parser) { ++parser_.conditions_; }
    ~Conditionally() { --parser_.conditions_; }
    Conditionally(const Conditionally&) = delete;
    Conditionally& operator=(const Conditionally&) = delete;

   private:
    ExpressionParser& parser_;
  };

  /// Whether strftime_now has been named so far.
  bool reads_date() const { return reads_date_; }

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
                     std::initializer_list<Operator> operators);
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
  std::optional<Operator> comparison_operator();
  ExpressionPtr checked(Node node);
  Applied applied(Node& subject, const Builtin* builtin, std::string unknown, ArgumentList list);

  TokenStream& tokens_;
  /// An unknown filter or test that is an error unless it turns out to be in a conditional part.
  struct Unknown {
    int line;
    std::string sentence;
  };

  std::vector<Macro*> macros_;  // those around the current place
  bool reads_date_ = false;
  int conditions_ = 0;
  std::optional<Unknown> unknown_;
};

}  // namespace inlay::jinja
