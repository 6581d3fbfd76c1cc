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
    scope_ = std::make_shared<Scope>(scope_);
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
    const Value value = expressions_.evaluate(*node.value);
    runtime_.at_line(line);
    if (value.is(Kind::kString)) {
      write(value.as_string());  // without the copy that to_text makes
    } else {
      write(to_text(runtime_, value));
    }
    return Flow::kNext;
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
    const std::shared_ptr<const Scope> outer = scope_;
    Loop::Condition condition;
    if (node.condition != nullptr) {
      condition = [&, outer](const Value& item) {
        const InScope scope(*this, outer);
        assign(node.target, item);
        return expressions_.evaluate(*node.condition).truthy();
      };
    }
    const auto loop = std::make_shared<Loop>(iterate(runtime_, walked), std::move(condition));
    loops_.push_back(loop.get());
    const Flow flow = run_loop(node, loop, outer);
    loops_.pop_back();
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

  Flow visit(const Generation& node, int line) {
    if (out_ != &rendered_.text && rendered_.captured_generation_line == 0) {
      rendered_.captured_generation_line = line;
    }
    const std::size_t begin = out_->size();
    const InScope scope(*this, scope_);
    run(node.body);
    GeneratedRange range{begin, out_->size(), {}};
    for (auto loop = loops_.rbegin(); loop != loops_.rend(); ++loop) {
      range.loop_items.push_back((*loop)->current());
    }
    runtime_.charge(range.loop_items);
    rendered_.generations.push_back(std::move(range));
    return Flow::kNext;
  }

  Flow visit(const Break& /*node*/, int /*line*/) { return Flow::kBreak; }
  Flow visit(const Continue& /*node*/, int /*line*/) { return Flow::kContinue; }

  void set_positional(const Macro& macro, const CallArguments& arguments, std::vector<bool>& given);
  void set_keywords(const Macro& macro, const CallArguments& arguments, std::vector<bool>& given);
  void set_default(const Macro& macro, std::size_t i);

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

 private:
  Evaluator& evaluator_;
  const Macro& macro_;
  std::weak_ptr<Scope> home_;
};

Flow Evaluator::visit(const Macro& node, int /*line*/) {
  runtime_.charge(kMacroSteps);
  macro_scopes_.push_back(scope_);
  scope_->set(node.name, Value(std::make_shared<const MacroFunction>(*this, node, scope_)));
  return Flow::kNext;
}

Value Evaluator::call_macro(const Macro& macro, const std::shared_ptr<Scope>& home,
                            const CallArguments& arguments) {
  const InScope scope(*this, home);
  std::vector<bool> given(macro.parameters.size(), false);
  set_positional(macro, arguments, given);
  set_keywords(macro, arguments, given);
  // In order: a default may use the parameters before it.
  for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
    if (!given[i]) {
      set_default(macro, i);
    }
  }
  std::string text;
  const Capture capture(*this, text);
  run(macro.body);
  return runtime_.text(std::move(text));
}

void Evaluator::set_positional(const Macro& macro, const CallArguments& arguments,
                               std::vector<bool>& given) {
  if (arguments.positional.size() > macro.parameters.size()) {
    runtime_.fail(str("the macro ", macro.name, " takes at most ", macro.parameters.size(),
                      " arguments, not ", arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    scope_->set(macro.parameters[i].first, arguments.positional[i]);
    given[i] = true;
  }
}

void Evaluator::set_keywords(const Macro& macro, const CallArguments& arguments,
                             std::vector<bool>& given) {
  for (const auto& argument : arguments.keyword) {
    const auto parameter =
        std::find_if(macro.parameters.begin(), macro.parameters.end(),
                     [&](const auto& entry) { return entry.first == argument.first; });
    if (parameter == macro.parameters.end()) {
      runtime_.fail(
          str("the macro ", macro.name, " has no parameter \"", printable(argument.first), "\""));
    }
    const auto i = static_cast<std::size_t>(parameter - macro.parameters.begin());
    if (given[i]) {
      runtime_.fail(
          str("the macro ", macro.name, " is given two values for \"", argument.first, "\""));
    }
    scope_->set(parameter->first, argument.second);
    given[i] = true;
  }
}

void Evaluator::set_default(const Macro& macro, std::size_t i) {
  const auto& [name, otherwise] = macro.parameters[i];
  scope_->set(name, otherwise != nullptr
                        ? expressions_.evaluate(*otherwise)
                        : Value::undefined(str("the parameter \"", name, "\" of the macro ",
                                               macro.name, " was not given")));
}

}  // namespace

Rendered evaluate(const Block& block, const Value& context, std::string_view name,
                  const RenderOptions& options) {
  return Evaluator(context, name, options).render(block);
}

}  // namespace inlay::jinja
