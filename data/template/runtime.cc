// SPDX-License-Identifier: Apache-2.0
#include "data/template/runtime.h"

#include <algorithm>

#include "core/error.h"

namespace inlay::jinja {
namespace {

/// Bytes of a search's worst case (haystack times needle) that take about the time of one step:
/// they are compared eight or more at a time.
constexpr i64 kComparedPerStep = 256;

}  // namespace

void fail_at(std::string_view name, int line, std::string_view what) {
  throw DataError(str(name, ": line ", line, ": ", what));
}

Runtime::~Runtime() {
  // Emptied one after the other while all are alive, so no chain of them unwinds recursively.
  for (const auto& space : namespaces_) {
    space->attributes.clear();
  }
}

void Runtime::charge_search(std::size_t hay, std::size_t needle) {
  charge_text(hay);
  if (needle <= hay) {
    const auto starts = static_cast<i64>(hay - needle) + 1;
    i64 compared = 0;
    // Python's search is as bad in the worst case; here it has to be paid for.
    if (__builtin_mul_overflow(starts, static_cast<i64>(needle), &compared)) {
      fail_steps();
    }
    charge(compared / kComparedPerStep);
  }
}

void Runtime::check_text(std::size_t bytes) const {
  if (static_cast<i64>(bytes) > options_.limits.text_bytes) {
    fail(str("a text of more than ", options_.limits.text_bytes, " bytes"));
  }
}

Value Runtime::text(std::string text) {
  check_text(text.size());
  charge_text(text.size());
  charge_objects(1);
  return Value(std::move(text));
}

Value Runtime::markup(std::string html) {
  return Value::markup(text(std::move(html)).as_string());
}

Value Runtime::sequence(SequenceKind kind, std::vector<Value> items) {
  charge(items);
  Value value = Value::sequence(kind, std::move(items));
  check_depth(value);
  return value;
}

Value Runtime::dict(Dict dict) {
  charge_objects(dict.entries().size() + 1);
  Value value(std::move(dict));
  check_depth(value);
  return value;
}

std::shared_ptr<Namespace> Runtime::make_namespace() {
  namespaces_.push_back(std::make_shared<Namespace>());
  return namespaces_.back();
}

void Runtime::check_depth(const Value& value) const {
  if (value.depth() > kMaxDepth) {
    fail(str("lists and dicts are nested more than ", kMaxDepth, " deep"));
  }
}

void Runtime::fail_steps() const {
  fail(str("the template takes more than ", options_.limits.steps,
           " steps; does a loop or a repetition grow without end?"));
}

void Runtime::fail_depth() const {
  fail(str("more than ", options_.limits.depth,
           " statements, expressions and calls inside one another; does a macro call itself "
           "without end?"));
}

}  // namespace inlay::jinja
