// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/text_forms.h"

/// The functions every chat template finds, besides its variables.
namespace inlay::jinja {
namespace {

/// The sandbox's own limit.
constexpr i64 kMaxRange = 100'000;

/// The numbers themselves: a range is short enough to be kept as a list.
Value range(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  const i64 first = arguments.integer(0, 0, "a bound");
  const bool one = arguments.get(1) == nullptr;
  const i64 start = one ? 0 : first;
  const i64 stop = one ? first : arguments.integer(1, 0, "a bound");
  const i64 step = arguments.integer(2, 1, "the step");
  if (step == 0) {
    runtime.fail("range: the step cannot be 0");
  }
  std::vector<Value> items;
  i64 at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (static_cast<i64>(items.size()) >= kMaxRange) {
      runtime.fail(str("range: more than ", kMaxRange, " numbers"));
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) {
      break;
    }
  }
  return runtime.sequence(SequenceKind::kRange, std::move(items));
}

/// What `namespace` and `dict` are made of: at most one dict, and keywords.
Dict given_entries(Runtime& runtime, std::string_view callee, const CallArguments& call) {
  Dict dict;
  if (call.positional.size() > 1) {
    runtime.fail(str(callee, ": takes one dict or list of pairs, and values by name"));
  }
  if (call.positional.size() == 1 && call.positional[0].is(Kind::kDict)) {
    runtime.charge_objects(call.positional[0].as_dict().entries().size());
    dict = call.positional[0].as_dict();
  } else if (call.positional.size() == 1) {
    for (const Value& pair : iterate(runtime, call.positional[0])) {
      const std::vector<Value> parts = iterate(runtime, pair);
      if (parts.size() != 2 || !Dict::can_be_key(parts[0])) {
        runtime.fail(str(callee, ": an item of the list is no pair of a key and a value"));
      }
      dict.set(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : call.keyword) {
    dict.set(name, value);
  }
  return dict;
}

Value dict_function(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  return runtime.dict(given_entries(runtime, "dict", arguments.call()));
}

Value namespace_function(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  const auto space = runtime.make_namespace();
  const Dict entries = given_entries(runtime, "namespace", arguments.call());
  for (const auto& [name, value] : entries.entries()) {
    if (!name.is(Kind::kString) || name.as_string().starts_with('_')) {
      runtime.fail("namespace: names are strings that do not begin with an underscore");
    }
    space->attributes[name.as_string()] = value;
  }
  return Value(space);
}

/// joiner(", "): "" at its first call, the text at the others.
class Joiner : public Callable {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  Value call(Runtime& runtime, const CallArguments& arguments) const override {
    if (!arguments.positional.empty() || !arguments.keyword.empty()) {
      runtime.fail("a joiner takes no arguments");
    }
    return std::exchange(used_, true) ? separator_ : Value("");
  }
  std::optional<Value> attribute(Runtime& /*runtime*/, std::string_view name) const override {
    return name == "sep"    ? std::optional(separator_)
           : name == "used" ? std::optional(Value(used_))
                            : std::nullopt;
  }

 private:
  Value separator_;
  mutable bool used_ = false;
};

Value joiner(Runtime& /*runtime*/, const Value& /*self*/, const Arguments& arguments) {
  return Value(
      std::make_shared<const Joiner>(arguments.get(0) != nullptr ? arguments[0] : Value(", ")));
}

/// cycler(a, b, …): next() gives one after the other, again and again.
class Cycler : public Callable, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> items) : items_(std::move(items)) {}
  Value call(Runtime& runtime, const CallArguments& /*arguments*/) const override {
    runtime.fail("a cycler cannot be called; it has next(), current and reset()");
  }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) const override;
  const Value& current() const { return items_[at_]; }
  void go_to(std::size_t at) const { at_ = at % items_.size(); }
  std::size_t at() const { return at_; }

 private:
  std::vector<Value> items_;
  mutable std::size_t at_ = 0;
};

/// next() and reset() of a cycler.
class CyclerMethod : public Callable {
 public:
  CyclerMethod(std::shared_ptr<const Cycler> cycler, bool next)
      : cycler_(std::move(cycler)), next_(next) {}
  Value call(Runtime& /*runtime*/, const CallArguments& /*arguments*/) const override {
    const Value item = next_ ? cycler_->current() : Value();
    cycler_->go_to(next_ ? cycler_->at() + 1 : 0);
    return item;
  }

 private:
  std::shared_ptr<const Cycler> cycler_;
  bool next_;
};

std::optional<Value> Cycler::attribute(Runtime& runtime, std::string_view name) const {
  if (name == "next" || name == "reset") {
    return Value(std::make_shared<const CyclerMethod>(shared_from_this(), name == "next"));
  }
  return name == "current" ? std::optional(current())
         : name == "pos"   ? std::optional(Value(static_cast<i64>(at_)))
         : name == "items" ? std::optional(runtime.sequence(SequenceKind::kTuple, items_))
                           : std::nullopt;
}

Value cycler(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  const CallArguments& call = arguments.call();
  if (call.positional.empty() || !call.keyword.empty()) {
    runtime.fail("cycler: needs one or more values, without names");
  }
  return Value(std::make_shared<const Cycler>(call.positional));
}

Value raise_exception(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  // Long enough for a sentence with an example in it.
  constexpr std::size_t kMessage = 300;
  runtime.fail(str("the template refuses this conversation: ",
                   printable(to_text(runtime, arguments[0]), kMessage)));
}

Value lipsum(Runtime& runtime, const Value& /*self*/, const Arguments& /*arguments*/) {
  runtime.fail("the function lipsum is not supported: its result differs from run to run");
}

Value strftime_now(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  const std::string& format = arguments.string(0, "the format");
  if (!runtime.options().now.has_value()) {
    runtime.fail(
        "the template asks for today's date, which would differ from run to run; give it a fixed "
        "date");
  }
  try {
    return runtime.text(format_time(*runtime.options().now, format));
  } catch (const DataError& error) {
    runtime.fail(error.what());
  }
}

}  // namespace

const std::vector<Builtin>& functions() {
  static const std::vector<Builtin> table = {
      {"cycler", Parameters::any(), cycler},
      {"dict", Parameters::any(), dict_function},
      {"joiner", {{"sep"}}, joiner},
      {"lipsum", Parameters::any(), lipsum},
      {"namespace", Parameters::any(), namespace_function},
      {"raise_exception", {{"message"}, 1}, raise_exception},
      {"range", {{"start", "stop", "step"}, 1}, range},
      {"strftime_now", {{"format"}, 1}, strftime_now},
  };
  return table;
}

}  // namespace inlay::jinja
