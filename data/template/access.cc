// SPDX-License-Identifier: Apache-2.0
#include "data/template/access.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "core/error.h"
#include "data/template/builtins.h"
#include "data/template/characters.h"
#include "data/template/loop.h"
#include "data/template/markup.h"

namespace inlay::jinja {
namespace {

using Tables = std::initializer_list<const std::vector<Builtin>*>;

const Builtin* find_in(Tables tables, std::string_view name) {
  for (const auto* table : tables) {
    if (const Builtin* found = find_builtin(*table, name)) {
      return found;
    }
  }
  return nullptr;
}

const Builtin* find_method(const Value& object, std::string_view name) {
  switch (object.kind()) {
    case Kind::kString:
      return find_in({&string_methods(), &layout_methods()}, name);
    case Kind::kDict:
      return find_in({&dict_methods()}, name);
    case Kind::kBool:
    case Kind::kInt:
    case Kind::kFloat:
      return find_in({&number_methods()}, name);
    case Kind::kSequence:
      if (object.is(SequenceKind::kList)) {
        return find_in({&sequence_methods(), &list_methods()}, name);
      }
      return object.is(SequenceKind::kView) || object.is(SequenceKind::kIterator)
                 ? nullptr
                 : find_in({&sequence_methods()}, name);
    default:
      return nullptr;
  }
}

/// The attributes of numbers and of groups, which are values.
std::optional<Value> find_field(const Value& object, std::string_view name) {
  if (object.is_number()) {
    const bool itself = name == "real" || (object.is_integral() && name == "numerator");
    const bool one = object.is_integral() && name == "denominator";
    if (itself) {
      return object.is_integral() ? Value(object.as_int()) : object;
    }
    if (one || name == "imag") {
      return object.is_integral() ? Value(one ? 1 : 0) : Value(0.0);
    }
  }
  if (object.is(SequenceKind::kTuple) && object.as_sequence().is_group) {
    return name == "grouper" ? std::optional(object.items()[0])
           : name == "list"  ? std::optional(object.items()[1])
                             : std::nullopt;
  }
  return std::nullopt;
}

std::optional<Value> find_index(Runtime& runtime, const Value& object, i64 index) {
  const bool text = object.is(Kind::kString);
  const bool subscripted = object.is(Kind::kSequence) && !object.is(SequenceKind::kView) &&
                           !object.is(SequenceKind::kIterator);
  if (!text && !subscripted) {
    return std::nullopt;
  }
  if (text) {
    runtime.charge_text(object.as_string().size());
  }
  const i64 size =
      text ? count_code_points(object.as_string()) : static_cast<i64>(object.items().size());
  const i64 at = index < 0 ? index + size : index;
  if (at < 0 || at >= size) {
    return std::nullopt;
  }
  if (!text) {
    return object.items()[at];
  }
  const auto offsets = code_point_offsets(object.as_string());
  std::string character = object.as_string().substr(offsets[at], offsets[at + 1] - offsets[at]);
  return object.is_markup() ? Value::markup(std::move(character)) : Value(std::move(character));
}

std::optional<Value> find_item(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is(Kind::kDict) && Dict::can_be_key(index)) {
    const Value* found = object.as_dict().find(index);
    return found == nullptr ? std::nullopt : std::optional(*found);
  }
  return index.is_integral() ? find_index(runtime, object, index.as_int()) : std::nullopt;
}

std::string described(const Value& index) {
  if (index.is(Kind::kString)) {
    return "\"" + printable(index.as_string()) + "\"";
  }
  return index.is_integral() ? std::to_string(index.as_int()) : std::string(index.type_name());
}

Value missing(const Value& object, const Value& index) {
  return Value::undefined(str(object.type_name(), " has no ",
                              index.is(Kind::kString) ? "key or attribute " : "item ",
                              described(index)));
}

/// Positions that a slice takes from `size` items, as Python's slice.indices has them.
std::vector<i64> slice_positions(Runtime& runtime, i64 size, const Value& start, const Value& stop,
                                 const Value& step) {
  const i64 stride = step.is(Kind::kNone) ? 1 : step.as_int();
  if (stride == 0) {
    runtime.fail("the step of a slice cannot be 0");
  }
  // Walking down, the place before the first is an end, too.
  const i64 lowest = stride > 0 ? 0 : -1;
  const i64 highest = stride > 0 ? size : size - 1;
  const auto bound_of = [&](const Value& value, i64 otherwise) {
    if (value.is(Kind::kNone)) {
      return otherwise;
    }
    const i64 at = value.as_int() < 0 ? value.as_int() + size : value.as_int();
    return std::clamp(at, lowest, highest);
  };
  const i64 first = bound_of(start, stride > 0 ? lowest : highest);
  const i64 end = bound_of(stop, stride > 0 ? highest : lowest);
  std::vector<i64> positions;
  for (i64 at = first; stride > 0 ? at < end : at > end;) {
    positions.push_back(at);
    // A step beyond 64 bits is beyond any sequence.
    if (__builtin_add_overflow(at, stride, &at)) {
      break;
    }
  }
  runtime.charge(static_cast<i64>(positions.size()));
  return positions;
}

Value string_slice(Runtime& runtime, const std::string& text, const Value& start, const Value& stop,
                   const Value& step) {
  runtime.charge_text(text.size());
  const auto offsets = code_point_offsets(text);
  std::string out;
  for (const i64 at :
       slice_positions(runtime, static_cast<i64>(offsets.size()) - 1, start, stop, step)) {
    out.append(text, offsets[at], offsets[at + 1] - offsets[at]);
  }
  return runtime.text(std::move(out));
}

std::vector<Value> characters_of(Runtime& runtime, const std::string& text) {
  runtime.charge_objects(text.size());
  std::vector<Value> characters;
  const auto offsets = code_point_offsets(text);
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    characters.emplace_back(text.substr(offsets[i], offsets[i + 1] - offsets[i]));
  }
  return characters;
}

}  // namespace

std::optional<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  if (const Builtin* method = find_method(object, name)) {
    return object.is_markup() ? bound_to_markup(*method, object) : bound(*method, object);
  }
  if (std::string why = refused_method(object, name); !why.empty()) {
    return Value::undefined(std::move(why));
  }
  switch (object.kind()) {
    case Kind::kNamespace: {
      const auto& attributes = object.as_namespace().attributes;
      const auto found = attributes.find(name);
      return found == attributes.end() ? std::nullopt : std::optional(found->second);
    }
    case Kind::kLoop:
      return object.as_loop().attribute(runtime, name, object);
    case Kind::kCallable:
      return object.as_callable().attribute(runtime, name);
    default:
      return find_field(object, name);
  }
}

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
  runtime.check_defined(object);
  if (std::optional<Value> found = find_attribute(runtime, object, name)) {
    return *std::move(found);
  }
  if (object.is(Kind::kDict)) {
    if (const Value* item = object.as_dict().find(name)) {
      return *item;
    }
  }
  // Refused by name, where any other attribute would be undefined: nobody means these by mistake.
  if (name.starts_with("__")) {
    runtime.fail(str("the attribute ", printable(name), " is private to Python"));
  }
  return missing(object, Value(name));
}

Value get_item(Runtime& runtime, const Value& object, const Value& index) {
  runtime.check_defined(object);
  if (std::optional<Value> found = find_item(runtime, object, index)) {
    return *std::move(found);
  }
  if (index.is(Kind::kString)) {
    if (std::optional<Value> found = find_attribute(runtime, object, index.as_string())) {
      return *std::move(found);
    }
  }
  return missing(object, index);
}

Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  runtime.check_defined(object);
  for (const Value* end : {&start, &stop, &step}) {
    if (!end->is(Kind::kNone) && !end->is_integral()) {
      runtime.fail(str("the ends and the step of a slice are integers, not ", end->type_name()));
    }
  }
  if (object.is(Kind::kString)) {
    const Value slice = string_slice(runtime, object.as_string(), start, stop, step);
    return object.is_markup() ? Value::markup(slice.as_string()) : slice;
  }
  if (!object.is(Kind::kSequence) || object.is(SequenceKind::kView) ||
      object.is(SequenceKind::kIterator)) {
    runtime.fail(str(object.type_name(), " cannot be sliced"));
  }
  std::vector<Value> items;
  const auto size = static_cast<i64>(object.items().size());
  for (const i64 at : slice_positions(runtime, size, start, stop, step)) {
    items.push_back(object.items()[at]);
  }
  return runtime.sequence(object.as_sequence().kind, std::move(items));
}

std::vector<Value> iterate(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return {};
    case Kind::kString:
      return characters_of(runtime, value.as_string());
    case Kind::kSequence:
      runtime.charge(value.items());
      if (value.is(SequenceKind::kIterator)) {
        // An iterator's items come once: walked over, it is empty.
        const std::size_t taken = std::exchange(value.as_sequence().taken, value.items().size());
        return {value.items().begin() + static_cast<std::ptrdiff_t>(taken), value.items().end()};
      }
      return value.items();
    case Kind::kDict: {
      std::vector<Value> keys;
      runtime.charge(static_cast<i64>(value.as_dict().entries().size()) + 1);
      for (const auto& entry : value.as_dict().entries()) {
        keys.push_back(entry.first);
      }
      return keys;
    }
    default:
      runtime.fail(str(value.type_name(), " cannot be walked over"));
  }
}

bool is_iterable(const Value& value) {
  return value.is(Kind::kUndefined) || value.is(Kind::kString) || value.is(Kind::kSequence) ||
         value.is(Kind::kDict) || value.is(Kind::kLoop);
}

i64 length_of(Runtime& runtime, const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      runtime.charge_text(value.as_string().size());
      return count_code_points(value.as_string());
    case Kind::kDict:
      return static_cast<i64>(value.as_dict().entries().size());
    case Kind::kLoop:
      return value.as_loop().length();
    case Kind::kSequence:
      if (!value.is(SequenceKind::kIterator)) {
        return static_cast<i64>(value.items().size());
      }
      runtime.fail("an iterator has no length; add |list before it");
    default:
      runtime.fail(str(value.type_name(), " has no length"));
  }
}

}  // namespace inlay::jinja
