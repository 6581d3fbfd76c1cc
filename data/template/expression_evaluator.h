// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "data/template/runtime.h"
#include "data/template/scope.h"
#include "data/template/syntax.h"

namespace inlay::jinja {

/// The value of an expression in the current scope. Evaluating an expression changes nothing but
/// what its calls change.
class ExpressionEvaluator {
 public:
  /// `scope` is the caller's current scope, looked at anew each time.
  ExpressionEvaluator(Runtime& runtime, const std::shared_ptr<Scope>& scope)
      : runtime_(runtime), scope_(scope) {}

  Value evaluate(const Expression& expression);
  /// A filter of a set block, on the block's text.
  Value apply(const Applied& filter, const Value& subject);
  /// A call that is handed `caller` besides its arguments.
  Value call_with(const Call& node, int line, Value caller);

 private:
  Value visit(const Literal& node, int line);
  Value visit(const Name& node, int line);
  Value visit(const SequenceDisplay& node, int line);
  Value visit(const DictDisplay& node, int line);
  Value visit(const Attribute& node, int line);
  Value visit(const Subscript& node, int line);
  Value visit(const Slice& node, int line);
  Value visit(const Call& node, int line);
  Value visit(const Applied& node, int line);
  Value visit(const Not& node, int line);
  Value visit(const Sign& node, int line);
  Value visit(const Binary& node, int line);
  Value visit(const Logical& node, int line);
  Value visit(const Comparison& node, int line);
  Value visit(const Concatenation& node, int line);
  Value visit(const Conditional& node, int line);
  Value evaluate_or_none(const ExpressionPtr& expression);
  CallArguments evaluate(const ArgumentList& list);
  void add_named(const Value& dict, CallArguments& arguments);

  Runtime& runtime_;
  const std::shared_ptr<Scope>& scope_;
};

}  // namespace inlay::jinja
