// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "core/error.h"
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
  if (call.positional.size() > 1 ||
      (call.positional.size() == 1 && !call.positional[0].is(Kind::kDict))) {
    runtime.fail(str(callee, ": takes one dict, or values by name"));
  }
  if (call.positional.size() == 1) {
    runtime.charge_objects(call.positional[0].as_dict().entries().size());
    dict = call.positional[0].as_dict();
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

Value raise_exception(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  // Long enough for a sentence with an example in it.
  constexpr std::size_t kMessage = 300;
  runtime.fail(str("the template refuses this conversation: ",
                   printable(to_text(runtime, arguments[0]), kMessage)));
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
      {"dict", Parameters::any(), dict_function},
      {"namespace", Parameters::any(), namespace_function},
      {"raise_exception", {{"message"}, 1}, raise_exception},
      {"range", {{"start", "stop", "step"}, 1}, range},
      {"strftime_now", {{"format"}, 1}, strftime_now},
  };
  return table;
}

}  // namespace inlay::jinja
