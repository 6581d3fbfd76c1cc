// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// Calls: what a caller passes, how it is bound to the parameters, and what can be called.
namespace inlay::jinja {

struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;
};

/// The parameters of a built-in function, in order; the first `required` must be given.
struct Parameters {
  std::vector<std::string_view> names;
  std::size_t required = 0;
  /// Takes whatever is given and sorts it out itself.
  bool open = false;

  static Parameters any() { return {{}, 0, true}; }
};

/// A call's arguments laid out by parameter.
class Arguments {
 public:
  /// Fails, naming `callee`, for too many arguments, unknown names and missing ones.
  Arguments(Runtime& runtime, std::string_view callee, const Parameters& parameters,
            const CallArguments& call);

  /// The argument of parameter i, or nullptr where none was given.
  const Value* get(std::size_t i) const { return values_[i].has_value() ? &*values_[i] : nullptr; }
  /// Whether it was given and is not `none`, which Python's functions take for "not given".
  bool has(std::size_t i) const { return get(i) != nullptr && !get(i)->is(Kind::kNone); }
  /// The argument of a required parameter, or of one that is there.
  const Value& operator[](std::size_t i) const { return *values_[i]; }
  bool flag(std::size_t i, bool otherwise) const;
  /// An argument that must be a string, or an integer. `what` names it in the error.
  const std::string& string(std::size_t i, std::string_view what) const;
  i64 integer(std::size_t i, i64 otherwise, std::string_view what) const;
  /// As given, for open parameters.
  const CallArguments& call() const { return call_; }

 private:
  Runtime& runtime_;
  std::string_view callee_;
  const CallArguments& call_;
  std::vector<std::optional<Value>> values_;
};

/// A filter, test, method or global function. `subject` is what stands before | or `is` or the
/// method's dot, none for a global function.
struct Builtin {
  std::string_view name;
  Parameters parameters;
  Value (*function)(Runtime& runtime, const Value& subject, const Arguments& arguments);
};

/// Binds `call` to the parameters and runs.
Value call_builtin(Runtime& runtime, const Builtin& builtin, const Value& subject,
                   const CallArguments& call);

/// A function as a value: a macro, a method bound to its object, a global.
class Callable {
 public:
  Callable() = default;
  Callable(const Callable&) = delete;
  Callable& operator=(const Callable&) = delete;
  virtual ~Callable() = default;
  virtual Value call(Runtime& runtime, const CallArguments& arguments) const = 0;
  /// What stands behind its dot, if anything: a macro has a name, a cycler a current item.
  virtual std::optional<Value> attribute(Runtime& /*runtime*/, std::string_view /*name*/) const {
    return std::nullopt;
  }
};

/// `builtin` with its subject, as a value.
Value bound(const Builtin& builtin, Value subject);

}  // namespace inlay::jinja
