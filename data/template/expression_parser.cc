// SPDX-License-Identifier: Apache-2.0
#include "data/template/expression_parser.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "core/error.h"

namespace inlay::jinja {
namespace {

/// Chains such as a + b + c grow trees as high as they are long; evaluating and freeing them is
/// recursive.
constexpr int kMaxHeight = 200;

/// Python once had this limit on arguments; it keeps the search for names short.
constexpr std::size_t kMaxArguments = 255;

}  // namespace

template <class Payload>
ExpressionParser::Node ExpressionParser::make(int line, int height, Payload payload) const {
  if (height >= kMaxHeight) {
    tokens_.fail(line, str("an expression of more than ", kMaxHeight, " operations in a chain"));
  }
  return {std::make_unique<const Expression>(Expression{line, std::move(payload)}), height + 1};
}

ExpressionPtr ExpressionParser::parse() {
  return checked(conditional());
}

ExpressionPtr ExpressionParser::parse_tuple(bool with_condition) {
  return checked(tuple(with_condition));
}

ExpressionPtr ExpressionParser::parse_call() {
  const int line = tokens_.line();
  ExpressionPtr expression = parse();
  if (!std::holds_alternative<Call>(expression->node)) {
    tokens_.fail(line, "expected a call of a macro after the tag \"call\"");
  }
  return expression;
}

/// A whole expression, whose unknown names are judged now.
ExpressionPtr ExpressionParser::checked(Node node) {
  // An unknown filter in a branch that is not reached is no error in Jinja, so it is judged when
  // the whole expression is known.
  const std::optional<Unknown> unknown = std::exchange(unknown_, std::nullopt);
  if (unknown && conditions_ == 0) {
    tokens_.fail(unknown->line, unknown->sentence);
  }
  return std::move(node.expression);
}

/// One expression, or several with commas, which make a tuple.
ExpressionParser::Node ExpressionParser::tuple(bool with_condition) {
  const auto one = [&] { return with_condition ? conditional() : logical_or(); };
  const auto at_end = [&] {
    const Token& token = tokens_.current();
    return token.is(TokenKind::kVariableEnd) || token.is(TokenKind::kBlockEnd) ||
           token.is_operator(")");
  };
  const int line = tokens_.line();
  Node node = one();
  if (!tokens_.current().is_operator(",")) {
    return node;
  }
  SequenceDisplay items{SequenceKind::kTuple, {}};
  int height = node.height;
  items.items.push_back(std::move(node.expression));
  while (tokens_.take_operator(",") && !at_end()) {
    node = one();
    height = std::max(height, node.height);
    items.items.push_back(std::move(node.expression));
  }
  return make(line, height, std::move(items));
}

ExpressionParser::Node ExpressionParser::conditional() {
  const TokenStream::Level level(tokens_);
  int line = tokens_.line();
  // What is unknown in either branch or the test need not be reached.
  const std::optional<Unknown> before = unknown_;
  Node node = logical_or();
  while (tokens_.take_name("if")) {
    Node test = logical_or();
    Node otherwise;
    if (tokens_.take_name("else")) {
      otherwise = conditional();
    }
    const int height = std::max({node.height, test.height, otherwise.height});
    node = make(line, height,
                Conditional{std::move(test.expression), std::move(node.expression),
                            std::move(otherwise.expression)});
    line = tokens_.line();
    unknown_ = before;
  }
  return node;
}

ExpressionParser::Node ExpressionParser::logical_or() {
  return logical("or");
}

/// `and` stands between negations, `or` between chains of `and`.
ExpressionParser::Node ExpressionParser::logical(std::string_view word) {
  const bool is_and = word == "and";
  const auto operand = [&] { return is_and ? negation() : logical("and"); };
  Node left = operand();
  while (tokens_.current().is_name(word)) {
    const int line = tokens_.next().line;
    Node right = operand();
    left = make(line, std::max(left.height, right.height),
                Logical{is_and, std::move(left.expression), std::move(right.expression)});
  }
  return left;
}

ExpressionParser::Node ExpressionParser::negation() {
  const TokenStream::Level level(tokens_);
  if (!tokens_.current().is_name("not")) {
    return comparison();
  }
  const int line = tokens_.next().line;
  Node operand = negation();
  return make(line, operand.height, Not{std::move(operand.expression)});
}

/// The comparison operator that stands here, taken; or nothing.
std::optional<Operator> ExpressionParser::comparison_operator() {
  for (const Operator op : {Operator::kEqual, Operator::kNotEqual, Operator::kLess,
                            Operator::kLessEqual, Operator::kGreater, Operator::kGreaterEqual}) {
    if (tokens_.take_operator(text_of(op))) {
      return op;
    }
  }
  if (tokens_.take_name("in")) {
    return Operator::kIn;
  }
  if (tokens_.current().is_name("not") && tokens_.ahead().is_name("in")) {
    tokens_.next();
    tokens_.next();
    return Operator::kNotIn;
  }
  return std::nullopt;
}

ExpressionParser::Node ExpressionParser::comparison() {
  const int line = tokens_.line();
  Node first = sum();
  int height = first.height;
  Comparison chain{std::move(first.expression), {}};
  while (const std::optional<Operator> op = comparison_operator()) {
    Node operand = sum();
    height = std::max(height, operand.height);
    chain.rest.emplace_back(*op, std::move(operand.expression));
  }
  if (chain.rest.empty()) {
    return {std::move(chain.first), height};
  }
  return make(line, height, std::move(chain));
}

/// Operands between operators of equal strength: a - b + c is (a - b) + c.
ExpressionParser::Node ExpressionParser::left_to_right(Node (ExpressionParser::*operand)(),
                                                       std::initializer_list<Operator> operators) {
  const auto here = [&] {
    return std::find_if(operators.begin(), operators.end(),
                        [&](Operator op) { return tokens_.current().is_operator(text_of(op)); });
  };
  Node left = (this->*operand)();
  for (const Operator* op = here(); op != operators.end(); op = here()) {
    const int line = tokens_.next().line;
    Node right = (this->*operand)();
    left = make(line, std::max(left.height, right.height),
                Binary{*op, std::move(left.expression), std::move(right.expression)});
  }
  return left;
}

ExpressionParser::Node ExpressionParser::sum() {
  return left_to_right(&ExpressionParser::concatenation, {Operator::kAdd, Operator::kSubtract});
}
ExpressionParser::Node ExpressionParser::product() {
  return left_to_right(&ExpressionParser::power, {Operator::kMultiply, Operator::kDivide,
                                                  Operator::kFloorDivide, Operator::kModulo});
}
ExpressionParser::Node ExpressionParser::power() {
  // From the left, as Jinja has it: 2 ** 3 ** 2 is 64, not Python's 512.
  return left_to_right(&ExpressionParser::filtered_value, {Operator::kPower});
}

ExpressionParser::Node ExpressionParser::concatenation() {
  const int line = tokens_.line();
  Node node = product();
  if (!tokens_.current().is_operator("~")) {
    return node;
  }
  int height = node.height;
  Concatenation joined;
  joined.parts.push_back(std::move(node.expression));
  while (tokens_.take_operator("~")) {
    node = product();
    height = std::max(height, node.height);
    joined.parts.push_back(std::move(node.expression));
  }
  return make(line, height, std::move(joined));
}

ExpressionParser::Node ExpressionParser::filtered_value() {
  return filters_and_tests(signed_value());
}

ExpressionParser::Node ExpressionParser::signed_value() {
  const TokenStream::Level level(tokens_);
  for (const Operator op : {Operator::kSubtract, Operator::kAdd}) {
    if (tokens_.current().is_operator(text_of(op))) {
      const int line = tokens_.next().line;
      Node operand = signed_value();
      return postfix(make(line, operand.height, Sign{op, std::move(operand.expression)}));
    }
  }
  return postfix(primary());
}

ExpressionParser::Node ExpressionParser::postfix(Node node) {
  while (true) {
    if (tokens_.current().is_operator(".") || tokens_.current().is_operator("[")) {
      node = subscript(std::move(node));
    } else if (tokens_.current().is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionParser::Node ExpressionParser::filters_and_tests(Node node) {
  while (true) {
    if (tokens_.take_operator("|")) {
      node = filter(std::move(node));
    } else if (tokens_.take_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.current().is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionParser::Node ExpressionParser::primary() {
  const Token& token = tokens_.current();
  const int line = token.line;
  switch (token.kind) {
    case TokenKind::kName:
      return name();
    case TokenKind::kInteger:
      return make(line, 0, Literal{Value(tokens_.next().integer)});
    case TokenKind::kFloat:
      return make(line, 0, Literal{Value(tokens_.next().number)});
    case TokenKind::kString: {
      std::string text;
      while (tokens_.current().is(TokenKind::kString)) {  // "a" "b" is "ab"
        text += tokens_.next().text;
      }
      return make(line, 0, Literal{Value(std::move(text))});
    }
    default:
      break;
  }
  if (token.is_operator("(")) {
    return parenthesis();
  }
  if (token.is_operator("[")) {
    return list();
  }
  if (token.is_operator("{")) {
    return dict();
  }
  tokens_.fail(str("expected a value, found ", described(token)));
}

ExpressionParser::Node ExpressionParser::name() {
  const int line = tokens_.line();
  const std::string name = tokens_.expect_identifier("a value");
  if (name == "true" || name == "True" || name == "false" || name == "False") {
    return make(line, 0, Literal{Value(name == "true" || name == "True")});
  }
  if (name == "none" || name == "None") {
    return make(line, 0, Literal{Value()});
  }
  if (name == "self" || name == "super") {
    tokens_.fail(line, str("the variable \"", name, "\" is not supported"));
  }
  for (Macro* macro : macros_) {
    macro->reads_caller = macro->reads_caller || name == "caller";
    macro->reads_varargs = macro->reads_varargs || name == "varargs";
    macro->reads_kwargs = macro->reads_kwargs || name == "kwargs";
  }
  reads_date_ = reads_date_ || name == "strftime_now";
  return make(line, 0, Name{name});
}

ExpressionParser::Node ExpressionParser::parenthesis() {
  const int line = tokens_.next().line;
  if (tokens_.take_operator(")")) {
    return make(line, 0, SequenceDisplay{SequenceKind::kTuple, {}});
  }
  Node inside = tuple(/*with_condition=*/true);
  tokens_.expect_operator(")", "an expression in parentheses");
  return inside;
}

ExpressionParser::Node ExpressionParser::list() {
  const int line = tokens_.next().line;
  SequenceDisplay list{SequenceKind::kList, {}};
  int height = 0;
  while (!tokens_.current().is_operator("]")) {
    Node item = conditional();
    height = std::max(height, item.height);
    list.items.push_back(std::move(item.expression));
    if (!tokens_.take_operator(",")) {
      break;
    }
  }
  tokens_.expect_operator("]", "the items of a list");
  return make(line, height, std::move(list));
}

ExpressionParser::Node ExpressionParser::dict() {
  const int line = tokens_.next().line;
  DictDisplay dict;
  int height = 0;
  while (!tokens_.current().is_operator("}")) {
    Node key = conditional();
    tokens_.expect_operator(":", "the key of a dict");
    Node value = conditional();
    height = std::max({height, key.height, value.height});
    dict.entries.emplace_back(std::move(key.expression), std::move(value.expression));
    if (!tokens_.take_operator(",")) {
      break;
    }
  }
  tokens_.expect_operator("}", "the entries of a dict");
  return make(line, height, std::move(dict));
}

ExpressionParser::Node ExpressionParser::subscript(Node object) {
  const int line = tokens_.line();
  const int height = object.height;
  if (tokens_.take_operator(".")) {
    if (tokens_.current().is(TokenKind::kInteger)) {
      // x.1 is x[1].
      Node index = make(line, 0, Literal{Value(tokens_.next().integer)});
      return make(line, height,
                  Subscript{std::move(object.expression), std::move(index.expression)});
    }
    if (!tokens_.current().is(TokenKind::kName)) {
      tokens_.fail(str("expected a name after \".\", found ", described(tokens_.current())));
    }
    return make(line, height, Attribute{std::move(object.expression), tokens_.next().text});
  }
  tokens_.next();
  if (tokens_.current().is_operator(":")) {
    return slice(std::move(object), nullptr, line);
  }
  Node index = conditional();
  if (tokens_.current().is_operator(":")) {
    return slice(std::move(object), &index, line);
  }
  tokens_.expect_operator("]", "a subscript");
  return make(line, std::max(height, index.height),
              Subscript{std::move(object.expression), std::move(index.expression)});
}

/// The rest of object[start:stop:step], from the first colon on.
ExpressionParser::Node ExpressionParser::slice(Node object, Node* start, int line) {
  Slice slice;
  int height = object.height;
  slice.object = std::move(object.expression);
  if (start != nullptr) {
    height = std::max(height, start->height);
    slice.start = std::move(start->expression);
  }
  for (ExpressionPtr* end : {&slice.stop, &slice.step}) {
    if (tokens_.take_operator(":") && !tokens_.current().is_operator(":") &&
        !tokens_.current().is_operator("]")) {
      Node bound = conditional();
      height = std::max(height, bound.height);
      *end = std::move(bound.expression);
    }
  }
  tokens_.expect_operator("]", "a slice");
  return make(line, height, std::move(slice));
}

void ExpressionParser::check_new(const ArgumentList& list, const std::string& name) const {
  for (const auto& argument : list.keyword) {
    if (argument.first == name) {
      tokens_.fail(str("the argument \"", name, "\" is given twice"));
    }
  }
}

ExpressionParser::ParsedArguments ExpressionParser::arguments(std::string_view callee) {
  ParsedArguments parsed;
  ArgumentList& list = parsed.list;
  tokens_.expect_operator("(", callee);
  while (!tokens_.current().is_operator(")")) {
    const bool star = tokens_.take_operator("*");
    const bool double_star = !star && tokens_.take_operator("**");
    const bool named = !star && !double_star && tokens_.current().is(TokenKind::kName) &&
                       tokens_.ahead().is_operator("=");
    std::string name = named ? tokens_.next().text : "";
    if (named) {
      tokens_.next();
    }
    const bool positional = !star && !double_star && !named;
    if (list.double_star != nullptr || (list.star != nullptr && (star || positional)) ||
        (positional && !list.keyword.empty())) {
      tokens_.fail(positional && list.star == nullptr && list.double_star == nullptr
                       ? "an argument without a name stands behind one with a name"
                       : "arguments stand in the order: values, *list, name=value, **dict");
    }
    Node value = conditional();
    parsed.height = std::max(parsed.height, value.height);
    if (list.keyword.size() + list.positional.size() >= kMaxArguments) {
      tokens_.fail(str("more than ", kMaxArguments, " arguments"));
    }
    if (star || double_star) {
      (star ? list.star : list.double_star) = std::move(value.expression);
    } else if (named) {
      check_new(list, name);
      list.keyword.emplace_back(std::move(name), std::move(value.expression));
    } else {
      list.positional.push_back(std::move(value.expression));
    }
    if (!tokens_.take_operator(",")) {
      break;
    }
  }
  tokens_.expect_operator(")", "the arguments of a call");
  return parsed;
}

ExpressionParser::Node ExpressionParser::call(Node callee) {
  const int line = tokens_.line();
  ParsedArguments given = arguments("a call");
  return make(line, std::max(callee.height, given.height),
              Call{std::move(callee.expression), std::move(given.list)});
}

/// Jinja's filter or test, or the sentence of the error that it will be.
Applied ExpressionParser::applied(Node& subject, const Builtin* builtin, std::string unknown,
                                  ArgumentList list) {
  return {std::move(subject.expression), builtin, std::move(list),
          builtin == nullptr ? std::move(unknown) : std::string()};
}

ExpressionParser::Node ExpressionParser::filter(Node subject) {
  const int line = tokens_.line();
  const std::string name = tokens_.expect_identifier("the name of a filter after |");
  const Builtin* builtin = find_filter(name);
  if (builtin == nullptr && !unknown_) {
    unknown_ = {line, no_such_filter(name)};
  }
  ParsedArguments given;
  if (tokens_.current().is_operator("(")) {
    given = arguments("a filter");
  }
  return make(line, std::max(subject.height, given.height),
              applied(subject, builtin, no_such_filter(name), std::move(given.list)));
}

std::vector<Applied> ExpressionParser::parse_filters_of_block() {
  return tokens_.take_operator("|") ? parse_filters() : std::vector<Applied>();
}

std::vector<Applied> ExpressionParser::parse_filters() {
  std::vector<Applied> filters;
  do {
    Node one = filter({nullptr, 0});
    const ExpressionPtr expression = checked(std::move(one));
    auto& node = const_cast<Expression&>(*expression).node;  // ours alone so far
    filters.push_back(std::move(std::get<Applied>(node)));
  } while (tokens_.take_operator("|"));
  return filters;
}

/// What follows a test's name: arguments in brackets, or one value without.
ExpressionParser::ParsedArguments ExpressionParser::test_arguments() {
  const Token& token = tokens_.current();
  if (token.is_operator("(")) {
    return arguments("a test");
  }
  const bool value = token.is(TokenKind::kString) || token.is(TokenKind::kInteger) ||
                     token.is(TokenKind::kFloat) || token.is_operator("[") ||
                     token.is_operator("{") ||
                     (token.is(TokenKind::kName) && !is_operator_word(token.text));
  ParsedArguments given;
  if (value) {
    Node argument = postfix(primary());
    given.height = argument.height;
    given.list.positional.push_back(std::move(argument.expression));
  }
  return given;
}

ExpressionParser::Node ExpressionParser::test(Node subject) {
  const int line = tokens_.line();
  const bool negated = tokens_.take_name("not");
  if (!tokens_.current().is(TokenKind::kName)) {
    tokens_.fail(
        str("expected the name of a test after `is`, found ", described(tokens_.current())));
  }
  const std::string name = tokens_.next().text;
  const Builtin* builtin = find_test(name);
  if (builtin == nullptr && !unknown_) {
    unknown_ = {line, no_such_test(name)};
  }
  ParsedArguments given = test_arguments();
  if (tokens_.current().is_name("is")) {
    tokens_.fail("a test cannot follow a test; put the first in parentheses");
  }
  Node node = make(line, std::max(subject.height, given.height),
                   applied(subject, builtin, no_such_test(name), std::move(given.list)));
  return negated ? make(line, node.height, Not{std::move(node.expression)}) : std::move(node);
}

}  // namespace inlay::jinja
