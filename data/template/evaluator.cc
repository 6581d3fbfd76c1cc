// SPDX-License-Identifier: Apache-2.0
#include "data/template/evaluator.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/call.h"
#include "data/template/expression_evaluator.h"
#include "data/template/loop.h"
#include "data/template/scope.h"
#include "data/template/text_forms.h"

// A template is run by walking over its tree: a visit() for each kind of statement, which writes to
// the current output and tells by its Flow whether the loop around it goes on. Scopes, outputs and
// the depth of the walk are guards on the C++ stack (InScope, Capture, Runtime::Level), so that an
// error leaves all of them in order. What a template defines may outlive the block it was defined
// in (macros, `loop`), and is then kept by the evaluator or by whoever holds it.
namespace inlay::jinja {
namespace {

/// How a statement ended: whether the loop around it goes on.
enum class Flow { kNext, kBreak, kContinue };

/// A macro costs more than a step to define: its scope is kept to the end.
constexpr i64 kMacroSteps = 10;

class Evaluator {
 public:
  Evaluator(const Value& context, std::string_view name, const RenderOptions& options)
      : runtime_(name, options),
        scope_(std::make_shared<Scope>(nullptr)),
        expressions_(runtime_, scope_),
        out_(&rendered_.text) {
    for (const auto& [key, value] : context.as_dict().entries()) {
      scope_->set(key.as_string(), value);
    }
    // The template's own variables are in a scope above the context's, which it can hide but not
    // change.
    scope_ = std::make_shared<Scope>(scope_);
    top_ = scope_;
  }

  Rendered render(const Block& block) {
    run(block);
    return std::move(rendered_);
  }

  Value call_macro(const Macro& macro, const std::shared_ptr<Scope>& home,
                   const CallArguments& arguments);

 private:
  /// A new scope inside `outer`, current for as long as the guard lives.
  class InScope {
   public:
    InScope(Evaluator& evaluator, std::shared_ptr<const Scope> outer)
        : evaluator_(evaluator),
          before_(std::exchange(evaluator.scope_, std::make_shared<Scope>(std::move(outer)))) {}
    ~InScope() { evaluator_.scope_ = std::move(before_); }
    InScope(const InScope&) = delete;
    InScope& operator=(const InScope&) = delete;

   private:
    Evaluator& evaluator_;
    std::shared_ptr<Scope> before_;
  };

  /// Output goes to `text` for as long as the guard lives.
  class Capture {
   public:
    Capture(Evaluator& evaluator, std::string& text)
        : evaluator_(evaluator), before_(std::exchange(evaluator.out_, &text)) {}
    ~Capture() { evaluator_.out_ = before_; }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

   private:
    Evaluator& evaluator_;
    std::string* before_;
  };

  Flow run(const Block& block) {
    for (const Statement& statement : block) {
      const Runtime::Level level(runtime_);
      runtime_.charge(1);
      runtime_.at_line(statement.line);
      const Flow flow =
          std::visit([&](const auto& node) { return visit(node, statement.line); }, statement.node);
      if (flow != Flow::kNext) {
        return flow;
      }
    }
    return Flow::kNext;
  }

  void write(std::string_view text) {
    runtime_.charge_text(text.size());
    runtime_.check_text(out_->size() + text.size());
    *out_ += text;
  }

  Flow visit(const Text& node, int /*line*/) {
    write(node.text);
    return Flow::kNext;
  }

  Flow visit(const Output& node, int line) {
    for (const ExpressionPtr& expression : node.values) {
      const Value value = expressions_.evaluate(*expression);
      runtime_.at_line(line);
      // The expression has moved the place of errors to its own lines; printing may fail at this
      // one.
      print(value);
    }
    return Flow::kNext;
  }

  void print(const Value& value) {
    if (value.is(Kind::kString)) {
      write(value.as_string());  // without the copy that to_text makes
    } else {
      write(to_text(runtime_, value));
    }
  }

  Flow visit(const If& node, int /*line*/) {
    for (const auto& [test, block] : node.branches) {
      if (expressions_.evaluate(*test).truthy()) {
        return run(block);
      }
    }
    return run(node.otherwise);
  }

  Flow visit(const For& node, int line) {
    const Value walked = expressions_.evaluate(*node.items);
    runtime_.at_line(line);
    return walk(node, walked, scope_, 0);
  }

  /// The loop over `walked` in scopes inside `outer`, with `depth` rounds of the same loop around
  /// it.
  Flow walk(const For& node, const Value& walked, const std::shared_ptr<const Scope>& outer,
            i64 depth) {
    Loop::Condition condition;
    if (node.condition != nullptr) {
      // Evaluated in a scope of its own: what it sets must not reach the body.
      condition = [&, outer](const Value& item) {
        const InScope scope(*this, outer);
        assign(node.target, item);
        return expressions_.evaluate(*node.condition).truthy();
      };
    }
    Loop::Recurse recurse;
    if (node.recursive) {
      recurse = [&, outer, depth](const Value& items) {
        const Runtime::Level level(runtime_);
        std::string text;
        const Capture capture(*this, text);
        walk(node, items, outer, depth + 1);
        return runtime_.text(std::move(text));
      };
    }
    // Shared, since a template may keep `loop` in a namespace beyond the loop's end.
    const auto loop = std::make_shared<Loop>(iterate(runtime_, walked), std::move(condition),
                                             std::move(recurse), depth);
    loops_.push_back(loop.get());
    const Flow flow = run_loop(node, loop, outer);
    loops_.pop_back();
    // Its condition and recursion refer to what ends with this call.
    loop->finish();
    return flow;
  }

  Flow run_loop(const For& node, const std::shared_ptr<Loop>& loop,
                const std::shared_ptr<const Scope>& outer) {
    bool completed = false;
    while (loop->advance()) {
      runtime_.charge(1);
      const InScope scope(*this, outer);
      scope_->set("loop", Value(loop));
      assign(node.target, loop->current());
      const Flow flow = run(node.body);
      completed = completed || flow == Flow::kNext;
      if (flow == Flow::kBreak) {
        break;
      }
    }
    // As in Jinja, `else` also runs when no round came to its end, all having left by break or
    // continue.
    if (completed) {
      return Flow::kNext;
    }
    const InScope scope(*this, outer);
    return run(node.otherwise);
  }

  Flow visit(const Set& node, int line) {
    const Value value = expressions_.evaluate(*node.value);
    runtime_.at_line(line);
    assign(node.target, value);
    return Flow::kNext;
  }

  Flow visit(const SetBlock& node, int line) {
    std::string text;
    Value value;
    {
      const InScope scope(*this, scope_);
      const Capture capture(*this, text);
      const Flow flow = run(node.body);
      if (flow != Flow::kNext) {
        return flow;
      }
      value = runtime_.text(std::move(text));
      for (const Applied& filter : node.filters) {
        value = expressions_.apply(filter, value);
      }
    }
    runtime_.at_line(line);
    assign(node.target, value);
    return Flow::kNext;
  }

  Flow visit(const Macro& node, int line);
  Flow visit(const CallBlock& node, int line);

  Flow visit(const FilterBlock& node, int line) {
    std::string text;
    {
      const InScope scope(*this, scope_);
      const Capture capture(*this, text);
      if (const Flow flow = run(node.body); flow != Flow::kNext) {
        return flow;
      }
    }
    Value value = runtime_.text(std::move(text));
    for (const Applied& filter : node.filters) {
      value = expressions_.apply(filter, value);
    }
    runtime_.at_line(line);
    if (!value.is(Kind::kString)) {
      runtime_.fail(str("the filters of a filter block must give text, not ", value.type_name()));
    }
    print(value);
    return Flow::kNext;
  }

  Flow visit(const With& node, int line) {
    std::vector<Value> values;
    for (const auto& [target, expression] : node.variables) {
      values.push_back(expressions_.evaluate(*expression));
    }
    const InScope scope(*this, scope_);
    runtime_.at_line(line);
    for (std::size_t i = 0; i < values.size(); ++i) {
      assign(node.variables[i].first, values[i]);
    }
    return run(node.body);
  }

  Flow visit(const NamedBlock& node, int /*line*/) {
    const InScope scope(*this, node.scoped ? scope_ : top_);
    return run(node.body);
  }

  Flow visit(const Generation& node, int line) {
    // In a macro or a set block the text so far is not the output, so the range has no place in it.
    if (out_ != &rendered_.text && rendered_.captured_generation_line == 0) {
      rendered_.captured_generation_line = line;
    }
    const std::size_t begin = out_->size();
    const InScope scope(*this, scope_);
    run(node.body);
    GeneratedRange range{begin, out_->size(), {}};
    // Tells which message a block is for: one of the items of the loops around it (owner_of_block).
    for (auto loop = loops_.rbegin(); loop != loops_.rend(); ++loop) {
      range.loop_items.push_back((*loop)->current());
    }
    runtime_.charge(range.loop_items);
    rendered_.generations.push_back(std::move(range));
    return Flow::kNext;
  }

  Flow visit(const Break& /*node*/, int /*line*/) { return Flow::kBreak; }
  Flow visit(const Continue& /*node*/, int /*line*/) { return Flow::kContinue; }

  Value macro_value(const Macro& node);
  void set_positional(const Macro& macro, const CallArguments& arguments, std::vector<bool>& given);
  void set_keywords(const Macro& macro, const CallArguments& arguments, std::vector<bool>& given);

  void assign(const Target& target, const Value& value) {
    if (!target.parts.empty()) {
      assign_parts(target, value);
    } else if (target.attribute.empty()) {
      scope_->set(target.name, value);
    } else {
      assign_attribute(target, value);
    }
  }

  void assign_parts(const Target& target, const Value& value) {
    const std::vector<Value> parts = iterate(runtime_, value);
    if (parts.size() != target.parts.size()) {
      runtime_.fail(str("cannot take ", parts.size(), " values apart into ", target.parts.size(),
                        " variables"));
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
      assign(target.parts[i], parts[i]);
    }
  }

  void assign_attribute(const Target& target, const Value& value) {
    const Value* object = scope_->find(target.name);
    if (object == nullptr || !object->is(Kind::kNamespace)) {
      runtime_.fail(str("cannot set ", target.name, ".", target.attribute, ": ", target.name,
                        " is ", object == nullptr ? "undefined" : object->type_name(),
                        ", not a namespace"));
    }
    if (target.attribute.starts_with('_')) {
      runtime_.fail("the attributes of a namespace do not begin with an underscore");
    }
    object->as_namespace().attributes[target.attribute] = value;
  }

  Runtime runtime_;
  std::shared_ptr<Scope> scope_;
  std::shared_ptr<const Scope> top_;  // what the template sets outside of all blocks
  /// Where macros were defined: they can be called after their block has ended.
  std::vector<std::shared_ptr<Scope>> macro_scopes_;
  std::vector<const Loop*> loops_;  // those that run, outermost first
  ExpressionEvaluator expressions_;
  Rendered rendered_;
  std::string* out_;
};

class MacroFunction : public Callable {
 public:
  /// `home` is kept alive by the evaluator; a strong reference would be a cycle, for the scope
  /// holds the macro.
  MacroFunction(Evaluator& evaluator, const Macro& macro, std::weak_ptr<Scope> home)
      : evaluator_(evaluator), macro_(macro), home_(std::move(home)) {}
  Value call(Runtime& /*runtime*/, const CallArguments& arguments) const override {
    return evaluator_.call_macro(macro_, home_.lock(), arguments);
  }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) const override {
    if (name == "name") {
      return macro_.name.empty() ? Value() : Value(macro_.name);
    }
    if (name == "arguments") {
      std::vector<Value> names;
      for (const auto& parameter : macro_.parameters) {
        names.emplace_back(parameter.first);
      }
      return runtime.sequence(SequenceKind::kTuple, std::move(names));
    }
    return name == "catch_kwargs"    ? std::optional(Value(macro_.reads_kwargs))
           : name == "catch_varargs" ? std::optional(Value(macro_.reads_varargs))
           : name == "caller"        ? std::optional(Value(macro_.reads_caller))
                                     : std::nullopt;
  }

 private:
  Evaluator& evaluator_;
  const Macro& macro_;
  std::weak_ptr<Scope> home_;
};

Value Evaluator::macro_value(const Macro& node) {
  runtime_.charge(kMacroSteps);
  macro_scopes_.push_back(scope_);
  return Value(std::make_shared<const MacroFunction>(*this, node, scope_));
}

Flow Evaluator::visit(const Macro& node, int /*line*/) {
  scope_->set(node.name, macro_value(node));
  return Flow::kNext;
}

Flow Evaluator::visit(const CallBlock& node, int line) {
  const Value result =
      expressions_.call_with(std::get<Call>(node.call->node), line, macro_value(node.caller));
  if (!result.is(Kind::kString)) {
    runtime_.fail(str("a call block needs a call that gives text, not ", result.type_name()));
  }
  write(result.as_string());
  return Flow::kNext;
}

bool has_parameter(const Macro& macro, std::string_view name) {
  return std::ranges::any_of(macro.parameters,
                             [&](const auto& parameter) { return parameter.first == name; });
}

std::string described(const Macro& macro) {
  return macro.name.empty() ? "the body of a call block" : str("the macro ", macro.name);
}

Value Evaluator::call_macro(const Macro& macro, const std::shared_ptr<Scope>& home,
                            const CallArguments& arguments) {
  const InScope scope(*this, home);
  std::vector<bool> given(macro.parameters.size(), false);
  set_positional(macro, arguments, given);
  set_keywords(macro, arguments, given);
  // A name in a default is that of a parameter first, be it one that has no value yet.
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    if (!given[i]) {
      const std::string& name = macro.parameters[i].first;
      scope_->set(name, Value::undefined(str("the parameter \"", name, "\" of ", described(macro),
                                             " was not given")));
    }
  }
  // In order: a default may use the parameters before it.
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    if (const auto& [name, otherwise] = macro.parameters[i]; !given[i] && otherwise != nullptr) {
      scope_->set(name, expressions_.evaluate(*otherwise));
    }
  }
  std::string text;
  const Capture capture(*this, text);
  run(macro.body);
  return runtime_.text(std::move(text));
}

void Evaluator::set_positional(const Macro& macro, const CallArguments& arguments,
                               std::vector<bool>& given) {
  const auto& values = arguments.positional;
  const std::size_t named = std::min(values.size(), macro.parameters.size());
  if (values.size() > named && !macro.reads_varargs) {
    runtime_.fail(str(described(macro), " takes at most ", macro.parameters.size(),
                      " arguments, not ", values.size()));
  }
  for (std::size_t i = 0; i < named; ++i) {
    scope_->set(macro.parameters[i].first, values[i]);
    given[i] = true;
  }
  if (macro.reads_varargs && !has_parameter(macro, "varargs")) {
    scope_->set("varargs", runtime_.sequence(SequenceKind::kTuple,
                                             {values.begin() + static_cast<std::ptrdiff_t>(named),
                                              values.end()}));
  }
}

void Evaluator::set_keywords(const Macro& macro, const CallArguments& arguments,
                             std::vector<bool>& given) {
  const bool own_caller = macro.reads_caller && !has_parameter(macro, "caller");
  const bool own_kwargs = macro.reads_kwargs && !has_parameter(macro, "kwargs");
  if (own_caller) {
    scope_->set("caller",
                Value::undefined(str(described(macro), " was not called by a call block")));
  }
  Dict others;
  for (const auto& argument : arguments.keyword) {
    const auto parameter =
        std::find_if(macro.parameters.begin(), macro.parameters.end(),
                     [&](const auto& entry) { return entry.first == argument.first; });
    if (parameter == macro.parameters.end()) {
      if (own_caller && argument.first == "caller") {
        scope_->set("caller", argument.second);
      } else if (own_kwargs) {
        others.set(argument.first, argument.second);
      } else {
        runtime_.fail(
            str(described(macro), " has no parameter \"", printable(argument.first), "\""));
      }
      continue;
    }
    const auto i = static_cast<std::size_t>(parameter - macro.parameters.begin());
    if (given[i]) {
      runtime_.fail(str(described(macro), " is given two values for \"", argument.first, "\""));
    }
    scope_->set(parameter->first, argument.second);
    given[i] = true;
  }
  if (own_kwargs) {
    scope_->set("kwargs", runtime_.dict(std::move(others)));
  }
}

}  // namespace

Rendered evaluate(const Block& block, const Value& context, std::string_view name,
                  const RenderOptions& options) {
  return Evaluator(context, name, options).render(block);
}

}  // namespace inlay::jinja
