// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/template/builtins.h"
#include "data/template/operator.h"
#include "data/template/value.h"

/// A parsed template. Filters and tests are resolved to their rows. An unknown name is an error of
/// the parser, but in conditional parts, which need not be reached: there it is one when they are.
namespace inlay::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keyword;
  ExpressionPtr star, double_star;  // *list and **dict; may be null
};

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct SequenceDisplay {  // [a, b] and (a, b)
  SequenceKind kind;
  std::vector<ExpressionPtr> items;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object, index;
};
struct Slice {  // the ends may be null
  ExpressionPtr object, start, stop, step;
};
struct Call {
  ExpressionPtr callee;
  ArgumentList arguments;
};
struct Applied {  // a filter, or a test
  ExpressionPtr subject;
  const Builtin* builtin;  // null where there is none of that name, which `unknown` then says
  ArgumentList arguments;
  std::string unknown;
};
struct Not {
  ExpressionPtr operand;
};
struct Sign {
  Operator op;
  ExpressionPtr operand;
};
struct Binary {  // arithmetic
  Operator op;
  ExpressionPtr left, right;
};
struct Logical {  // `and`, `or`
  bool is_and;
  ExpressionPtr left, right;
};
struct Comparison {  // a < b <= c: each operand is evaluated once, up to the first that fails
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};
struct Concatenation {  // a ~ b ~ c
  std::vector<ExpressionPtr> parts;
};
struct Conditional {  // a if test else b; b may be null
  ExpressionPtr test, then, otherwise;
};

struct Expression {
  int line;
  std::variant<Literal, Name, SequenceDisplay, DictDisplay, Attribute, Subscript, Slice, Call,
               Applied, Not, Sign, Binary, Logical, Comparison, Concatenation, Conditional>
      node;
};

struct Statement;
using Block = std::vector<Statement>;

/// What is assigned to: name, name.attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;
  std::vector<Target> parts;
};

struct Text {
  std::string text;
};
struct Output {
  std::vector<ExpressionPtr> values;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  ExpressionPtr items;
  ExpressionPtr condition;  // may be null
  Block body, otherwise;
  bool recursive;  // loop(items) runs the body for other items
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {  // the text of the body, then the filters in order (their subjects are null)
  Target target;
  std::vector<Applied> filters;
  Block body;
};
struct Macro {
  std::string name;                                               // "" for the body of a call block
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // default, or null
  Block body;
  /// Which of the variables that a macro may have without naming them its body reads.
  bool reads_caller = false, reads_varargs = false, reads_kwargs = false;
};
struct CallBlock {  // {% call(x) m(y) %}: m gets the body as `caller`
  ExpressionPtr call;
  Macro caller;
};
struct FilterBlock {  // the filters' subjects are null
  std::vector<Applied> filters;
  Block body;
};
struct With {  // a scope; the values are those outside of it
  std::vector<std::pair<Target, ExpressionPtr>> variables;
  Block body;
};
struct NamedBlock {  // sees the variables of the template's top level alone, unless `scoped`
  bool scoped;
  Block body;
};
struct Generation {  // what the model is to learn
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<Text, Output, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With,
               NamedBlock, Generation, Break, Continue>
      node;
};

}  // namespace inlay::jinja
