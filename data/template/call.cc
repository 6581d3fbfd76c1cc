// SPDX-License-Identifier: Apache-2.0
#include "data/template/call.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "data/template/builtins.h"

namespace inlay::jinja {
namespace {

class BoundBuiltin : public Callable {
 public:
  BoundBuiltin(const Builtin& builtin, Value subject)
      : builtin_(builtin), subject_(std::move(subject)) {}
  Value call(Runtime& runtime, const CallArguments& arguments) const override {
    return call_builtin(runtime, builtin_, subject_, arguments);
  }
  std::optional<Value> attribute(Runtime& /*runtime*/, std::string_view name) const override {
    if (builtin_.name == "dict" && name == "fromkeys") {
      static const Builtin row = {"fromkeys", {{"iterable", "value"}, 1}, dict_from_keys};
      return bound(row, Value());
    }
    return std::nullopt;
  }

 private:
  const Builtin& builtin_;
  Value subject_;
};

}  // namespace

Arguments::Arguments(Runtime& runtime, std::string_view callee, const Parameters& parameters,
                     const CallArguments& call)
    : runtime_(runtime), callee_(callee), call_(call) {
  if (parameters.open) {
    return;
  }
  const auto& names = parameters.names;
  if (call.positional.size() > names.size()) {
    runtime.fail(
        str(callee, ": takes at most ", names.size(), " arguments, not ", call.positional.size()));
  }
  values_.assign(call.positional.begin(), call.positional.end());
  values_.resize(names.size());
  for (const auto& [name, value] : call.keyword) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      runtime.fail(
          str(callee, ": unknown argument \"", printable(name), "\"", did_you_mean(name, names)));
    }
    std::optional<Value>& place = values_[static_cast<std::size_t>(found - names.begin())];
    if (place.has_value()) {
      runtime.fail(str(callee, ": the argument \"", name, "\" is given twice"));
    }
    place = value;
  }
  for (std::size_t i = 0; i < parameters.required; ++i) {
    if (!values_[i].has_value()) {
      runtime.fail(str(callee, ": the argument \"", names[i], "\" is missing"));
    }
  }
}

bool Arguments::flag(std::size_t i, bool otherwise) const {
  return get(i) == nullptr ? otherwise : get(i)->truthy();
}

const std::string& Arguments::string(std::size_t i, std::string_view what) const {
  if (!values_[i]->is(Kind::kString)) {
    runtime_.fail(str(callee_, ": ", what, " must be a string, not ", values_[i]->type_name()));
  }
  return values_[i]->as_string();
}

i64 Arguments::integer(std::size_t i, i64 otherwise, std::string_view what) const {
  if (get(i) == nullptr) {
    return otherwise;
  }
  if (!values_[i]->is_integral()) {
    runtime_.fail(str(callee_, ": ", what, " must be an integer, not ", values_[i]->type_name()));
  }
  return values_[i]->as_int();
}

Value call_builtin(Runtime& runtime, const Builtin& builtin, const Value& subject,
                   const CallArguments& call) {
  // Filters call filters: map('map', 'map', …).
  const Runtime::Level level(runtime);
  runtime.charge(1);
  if (subject.is(Kind::kString)) {
    runtime.charge_text(subject.as_string().size());
  }
  const Arguments arguments(runtime, builtin.name, builtin.parameters, call);
  return builtin.function(runtime, subject, arguments);
}

Value bound(const Builtin& builtin, Value subject) {
  return Value(std::make_shared<const BoundBuiltin>(builtin, std::move(subject)));
}

}  // namespace inlay::jinja
