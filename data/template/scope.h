// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "data/template/value.h"

/// Variables by block: loops, macros, set blocks and generation blocks open a scope of their own
/// (one a round, for loops), `if` does not. What is set in a scope is gone with it.
namespace inlay::jinja {

class Scope {
 public:
  explicit Scope(std::shared_ptr<const Scope> outer) : outer_(std::move(outer)) {}

  /// The innermost variable of that name, or nullptr.
  const Value* find(std::string_view name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->outer_.get()) {
      const auto found = scope->variables_.find(name);
      if (found != scope->variables_.end()) {
        return &found->second;
      }
    }
    return nullptr;
  }
  /// Sets a variable here. The name outlives the scope: it belongs to the template or the context.
  void set(std::string_view name, Value value) {
    variables_.insert_or_assign(name, std::move(value));
  }

 private:
  std::map<std::string_view, Value> variables_;
  std::shared_ptr<const Scope> outer_;
};

}  // namespace inlay::jinja
