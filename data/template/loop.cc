// SPDX-License-Identifier: Apache-2.0
#include "data/template/loop.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/template/call.h"
#include "data/template/operators.h"

namespace inlay::jinja {
namespace {

Value cycle(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::vector<Value>& choices = arguments.call().positional;
  if (choices.empty() || !arguments.call().keyword.empty()) {
    runtime.fail("loop.cycle: needs one or more values, without names");
  }
  return choices[static_cast<std::size_t>(self.as_loop().index0()) % choices.size()];
}

const Builtin& cycle_row() {
  static const Builtin row = {"loop.cycle", Parameters::any(), cycle};
  return row;
}

Value changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(self.as_loop().changed(runtime, arguments.call().positional));
}

const Builtin& changed_row() {
  static const Builtin row = {"loop.changed", Parameters::any(), changed};
  return row;
}

}  // namespace

Loop::Loop(std::vector<Value> items, Condition condition, Recurse recurse, i64 depth)
    : items_(std::move(items)),
      condition_(std::move(condition)),
      recurse_(std::move(recurse)),
      depth_(depth) {
  if (!condition_) {
    length_ = static_cast<i64>(items_.size());
  }
}

std::optional<Value> Loop::pull() {
  while (next_ < items_.size()) {
    const Value& item = items_[next_++];
    if (!condition_ || condition_(item)) {
      return item;
    }
  }
  return std::nullopt;
}

const std::optional<Value>& Loop::peek() {
  if (!after_.has_value()) {
    after_ = pull();
  }
  return after_;
}

bool Loop::advance() {
  // What looking ahead has found is this round's item: the condition is asked once an item.
  std::optional<Value> next = peek();
  after_.reset();
  if (!next.has_value()) {
    return false;
  }
  ++index0_;
  before_ = std::exchange(current_, std::move(next));
  return true;
}

void Loop::finish() {
  // Nobody may go on with it: its functions refer to the evaluator's frame.
  next_ = items_.size();
  condition_ = nullptr;
  recurse_ = nullptr;
}

Value Loop::recurse(Runtime& runtime, const CallArguments& arguments) const {
  if (!recurse_) {
    runtime.fail("a loop can be called only where it is recursive, and while it runs");
  }
  if (arguments.positional.size() != 1 || !arguments.keyword.empty()) {
    runtime.fail("loop: takes the items to go on with");
  }
  return recurse_(arguments.positional[0]);
}

bool Loop::changed(Runtime& runtime, const std::vector<Value>& values) {
  const bool same = last_changed_ &&
                    std::ranges::equal(*last_changed_, values, [&](const Value& a, const Value& b) {
                      return equal(runtime, a, b);
                    });
  last_changed_ = values;
  return !same;
}

i64 Loop::length() {
  if (!length_.has_value()) {
    // Everything still to come is judged now, and kept for the rounds that follow.
    std::vector<Value> rest;
    if (peek().has_value()) {
      rest.push_back(*after_);
    }
    while (std::optional<Value> item = pull()) {
      rest.push_back(std::move(*item));
    }
    length_ = index0_ + 1 + static_cast<i64>(rest.size());
    items_ = std::move(rest);
    condition_ = nullptr;
    after_.reset();
    next_ = 0;
  }
  return *length_;
}

Value Loop::attribute(Runtime& /*runtime*/, std::string_view name, const Value& self) {
  if (name == "index0" || name == "index") {
    return Value(index0_ + (name == "index" ? 1 : 0));
  }
  if (name == "first") {
    return Value(index0_ == 0);
  }
  if (name == "last") {
    return Value(!peek().has_value());
  }
  if (name == "length") {
    return Value(length());
  }
  if (name == "revindex" || name == "revindex0") {
    return Value(length() - index0_ - (name == "revindex0" ? 1 : 0));
  }
  if (name == "previtem") {
    return before_.value_or(Value::undefined("loop.previtem: this is the first item"));
  }
  if (name == "nextitem") {
    return peek().value_or(Value::undefined("loop.nextitem: this is the last item"));
  }
  if (name == "cycle") {
    return bound(cycle_row(), self);
  }
  if (name == "depth" || name == "depth0") {
    return Value(depth_ + (name == "depth" ? 1 : 0));
  }
  if (name == "changed") {
    return bound(changed_row(), self);
  }
  return Value::undefined(str("a loop has no \"", printable(name), "\""));
}

}  // namespace inlay::jinja
