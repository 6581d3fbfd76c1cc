// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "data/template/builtins.h"
#include "data/template/value.h"

/// A parsed template. Filters and tests are resolved to their rows: an unknown name never gets
/// here.
namespace inlay::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> keyword;
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
  const Builtin* builtin;
  ArgumentList arguments;
};
struct Not {
  ExpressionPtr operand;
};
struct Sign {
  std::string op;
  ExpressionPtr operand;
};
struct Binary {  // arithmetic
  std::string op;
  ExpressionPtr left, right;
};
struct Logical {  // `and`, `or`
  bool is_and;
  ExpressionPtr left, right;
};
struct Comparison {  // a < b <= c: each operand is evaluated once, up to the first that fails
  ExpressionPtr first;
  std::vector<std::pair<std::string, ExpressionPtr>> rest;
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
  ExpressionPtr value;
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
  std::string name;
  std::vector<std::pair<std::string, ExpressionPtr>> parameters;  // default, or null
  Block body;
};
struct Generation {  // what the model is to learn
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<Text, Output, If, For, Set, SetBlock, Macro, Generation, Break, Continue> node;
};

}  // namespace inlay::jinja
