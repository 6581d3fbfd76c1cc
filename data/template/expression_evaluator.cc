// SPDX-License-Identifier: Apache-2.0
#include "data/template/expression_evaluator.h"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/loop.h"
#include "data/template/operators.h"
#include "data/template/text_forms.h"

namespace inlay::jinja {
Value call_value(Runtime& runtime, const Value& callee, const CallArguments& arguments) {
  if (callee.is(Kind::kLoop)) {
    return callee.as_loop().recurse(runtime, arguments);
  }
  if (!callee.is(Kind::kCallable)) {
    runtime.fail(callee.is(Kind::kUndefined) ? callee.why_undefined()
                                             : str(callee.type_name(), " cannot be called"));
  }
  return callee.as_callable().call(runtime, arguments);
}

Value ExpressionEvaluator::evaluate(const Expression& expression) {
  const Runtime::Level level(runtime_);
  runtime_.charge(1);
  runtime_.at_line(expression.line);
  return std::visit([&](const auto& node) { return visit(node, expression.line); },
                    expression.node);
}

Value ExpressionEvaluator::evaluate_or_none(const ExpressionPtr& expression) {
  return expression == nullptr ? Value() : evaluate(*expression);
}

CallArguments ExpressionEvaluator::evaluate(const ArgumentList& list) {
  CallArguments arguments;
  for (const ExpressionPtr& argument : list.positional) {
    arguments.positional.push_back(evaluate(*argument));
  }
  for (const auto& [name, argument] : list.keyword) {
    arguments.keyword.emplace_back(name, evaluate(*argument));
  }
  if (list.star != nullptr) {
    for (Value& value : iterate(runtime_, evaluate(*list.star))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (list.double_star != nullptr) {
    add_named(evaluate(*list.double_star), arguments);
  }
  return arguments;
}

/// The entries of a dict as arguments by name.
void ExpressionEvaluator::add_named(const Value& dict, CallArguments& arguments) {
  if (!dict.is(Kind::kDict)) {
    runtime_.fail(str("** needs a dict, not ", dict.type_name()));
  }
  for (const auto& [key, value] : dict.as_dict().entries()) {
    const bool taken = std::ranges::any_of(arguments.keyword, [&](const auto& other) {
      return key.is(Kind::kString) && other.first == key.as_string();
    });
    if (!key.is(Kind::kString) || taken) {
      runtime_.fail(taken ? str("the argument \"", printable(key.as_string()), "\" is given twice")
                          : "the names that ** gives must be strings");
    }
    arguments.keyword.emplace_back(key.as_string(), value);
  }
}

Value ExpressionEvaluator::apply(const Applied& filter, const Value& subject) {
  if (filter.builtin == nullptr) {
    runtime_.fail(filter.unknown);
  }
  return call_builtin(runtime_, *filter.builtin, subject, evaluate(filter.arguments));
}

Value ExpressionEvaluator::visit(const Literal& node, int /*line*/) {
  return node.value;
}

Value ExpressionEvaluator::visit(const Name& node, int /*line*/) {
  if (const Value* found = scope_->find(node.name)) {
    return *found;
  }
  if (const Builtin* function = find_builtin(functions(), node.name)) {
    return bound(*function, Value());
  }
  return Value::undefined(str("the variable \"", node.name, "\" is undefined"));
}

Value ExpressionEvaluator::visit(const SequenceDisplay& node, int /*line*/) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : node.items) {
    items.push_back(evaluate(*item));
  }
  return runtime_.sequence(node.kind, std::move(items));
}

Value ExpressionEvaluator::visit(const DictDisplay& node, int line) {
  Dict dict;
  for (const auto& [key_expression, value_expression] : node.entries) {
    Value key = evaluate(*key_expression);
    Value value = evaluate(*value_expression);
    runtime_.at_line(line);
    if (!Dict::can_be_key(key)) {
      runtime_.fail(str(key.type_name(), " cannot be a key of a dict"));
    }
    dict.set(std::move(key), std::move(value));
  }
  return runtime_.dict(std::move(dict));
}

Value ExpressionEvaluator::visit(const Attribute& node, int line) {
  const Value object = evaluate(*node.object);
  runtime_.at_line(line);
  return get_attribute(runtime_, object, node.name);
}

Value ExpressionEvaluator::visit(const Subscript& node, int line) {
  const Value object = evaluate(*node.object);
  const Value index = evaluate(*node.index);
  runtime_.at_line(line);
  return get_item(runtime_, object, index);
}

Value ExpressionEvaluator::visit(const Slice& node, int line) {
  const Value object = evaluate(*node.object);
  const Value start = evaluate_or_none(node.start);
  const Value stop = evaluate_or_none(node.stop);
  const Value step = evaluate_or_none(node.step);
  runtime_.at_line(line);
  return get_slice(runtime_, object, start, stop, step);
}

Value ExpressionEvaluator::visit(const Call& node, int line) {
  const Value callee = evaluate(*node.callee);
  const CallArguments arguments = evaluate(node.arguments);
  runtime_.at_line(line);
  return call_value(runtime_, callee, arguments);
}

Value ExpressionEvaluator::call_with(const Call& node, int line, Value caller) {
  const Value callee = evaluate(*node.callee);
  CallArguments arguments = evaluate(node.arguments);
  runtime_.at_line(line);
  arguments.keyword.emplace_back("caller", std::move(caller));
  return call_value(runtime_, callee, arguments);
}

Value ExpressionEvaluator::visit(const Applied& node, int line) {
  if (node.builtin == nullptr) {
    runtime_.fail(node.unknown);
  }
  const Value subject = evaluate(*node.subject);
  const CallArguments arguments = evaluate(node.arguments);
  runtime_.at_line(line);
  return call_builtin(runtime_, *node.builtin, subject, arguments);
}

Value ExpressionEvaluator::visit(const Not& node, int /*line*/) {
  return Value(!evaluate(*node.operand).truthy());
}

Value ExpressionEvaluator::visit(const Sign& node, int line) {
  const Value operand = evaluate(*node.operand);
  runtime_.at_line(line);
  return signed_number(runtime_, node.op, operand);
}

Value ExpressionEvaluator::visit(const Binary& node, int line) {
  const Value left = evaluate(*node.left);
  const Value right = evaluate(*node.right);
  runtime_.at_line(line);
  return arithmetic(runtime_, node.op, left, right);
}

Value ExpressionEvaluator::visit(const Logical& node, int /*line*/) {
  Value left = evaluate(*node.left);
  return left.truthy() == node.is_and ? evaluate(*node.right) : left;
}

Value ExpressionEvaluator::visit(const Comparison& node, int line) {
  Value left = evaluate(*node.first);
  for (const auto& [op, expression] : node.rest) {
    Value right = evaluate(*expression);
    runtime_.at_line(line);
    if (!compares(runtime_, op, left, right)) {
      return Value(false);
    }
    left = std::move(right);
  }
  return Value(true);
}

Value ExpressionEvaluator::visit(const Concatenation& node, int line) {
  std::string text;
  for (const ExpressionPtr& part : node.parts) {
    const Value value = evaluate(*part);
    runtime_.at_line(line);
    text += to_text(runtime_, value);
    runtime_.check_text(text.size());
  }
  return runtime_.text(std::move(text));
}

Value ExpressionEvaluator::visit(const Conditional& node, int /*line*/) {
  if (evaluate(*node.test).truthy()) {
    return evaluate(*node.then);
  }
  return node.otherwise != nullptr
             ? evaluate(*node.otherwise)
             : Value::undefined("an `if` without `else` came out false and has no value");
}

}  // namespace inlay::jinja
