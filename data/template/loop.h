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

struct CallArguments;

class Loop {
 public:
  using Condition = std::function<bool(const Value&)>;
  /// The text of the loop's body for other items, one level deeper.
  using Recurse = std::function<Value(const Value& items)>;

  /// Walks over `items`, those that pass `condition` if there is one. `recurse` is set for loops
  /// that are recursive, of which this one has `depth` around it.
  Loop(std::vector<Value> items, Condition condition, Recurse recurse = nullptr, i64 depth = 0);

  /// To the next item; false after the last.
  bool advance();
  const Value& current() const { return *current_; }
  /// Ends the walk: the condition is not called any more.
  void finish();

  /// loop(items), in a recursive loop.
  Value recurse(Runtime& runtime, const CallArguments& arguments) const;
  /// loop.changed(values): whether they differ from those of the call before, or there was none.
  bool changed(Runtime& runtime, const std::vector<Value>& values);

  /// loop.name, undefined for unknown names.
  Value attribute(Runtime& runtime, std::string_view name, const Value& self);
  i64 index0() const { return index0_; }
  /// How many items pass in all.
  i64 length();

 private:
  std::optional<Value> pull();
  const std::optional<Value>& peek();

  std::vector<Value> items_;
  Condition condition_;
  Recurse recurse_;
  i64 depth_;
  std::size_t next_ = 0;
  i64 index0_ = -1;
  std::optional<i64> length_;
  std::optional<Value> before_, current_, after_;
  std::optional<std::vector<Value>> last_changed_;
};

}  // namespace inlay::jinja
