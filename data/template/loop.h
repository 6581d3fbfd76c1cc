// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// The `loop` variable of a for statement, and the walk behind it.
///
/// The condition of `for x in items if condition` is evaluated just before its item is due, as
/// Jinja does it, so it sees what earlier rounds of the body wrote to a namespace. Only looking
/// ahead (loop.last, nextitem, length, revindex) evaluates it earlier.
namespace inlay::jinja {

class Loop {
 public:
  using Condition = std::function<bool(const Value&)>;

  /// Walks over `items`, those that pass `condition` if there is one.
  Loop(std::vector<Value> items, Condition condition);

  /// To the next item; false after the last.
  bool advance();
  const Value& current() const { return *current_; }
  /// Ends the walk: the condition is not called any more.
  void finish();

  /// loop.name, undefined for unknown names. Fails for those of Jinja's that inlay does not have.
  Value attribute(Runtime& runtime, std::string_view name, const Value& self);
  i64 index0() const { return index0_; }
  /// How many items pass in all.
  i64 length();

 private:
  std::optional<Value> pull();
  const std::optional<Value>& peek();

  std::vector<Value> items_;
  Condition condition_;
  std::size_t next_ = 0;
  i64 index0_ = -1;
  std::optional<i64> length_;
  std::optional<Value> before_, current_, after_;
};

}  // namespace inlay::jinja
