// SPDX-License-Identifier: Apache-2.0
#include "data/template/value.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace inlay::jinja {
namespace {

/// Up to this many entries a look at each is quicker than a hash.
constexpr std::size_t kScanned = 16;

/// Of a tuple that is a key: each look-up reads them all.
constexpr std::size_t kMaxParts = 16;

std::size_t key_hash(const Value& key) {
  switch (key.kind()) {
    case Kind::kString:
      return std::hash<std::string_view>()(key.as_string());
    case Kind::kNone:
    case Kind::kUndefined:
      return 0;
    case Kind::kSequence: {
      std::size_t hash = 1;
      for (const Value& item : key.items()) {
        hash = hash * 31 + key_hash(item);
      }
      return hash;
    }
    default:
      // 1, 1.0 and true are one key, so they must have one hash.
      return std::hash<double>()(key.as_float());
  }
}

Value number_from_json(const nlohmann::ordered_json& json, std::string_view where) {
  if (json.is_number_float()) {
    return Value(json.get<double>());
  }
  if (json.is_number_unsigned() &&
      json.get<u64>() > static_cast<u64>(std::numeric_limits<i64>::max())) {
    throw DataError(str(where, ": the number ", json.get<u64>(),
                        " is too large for a template, which has 64-bit signed integers"));
  }
  return Value(json.get<i64>());
}

Value convert(const nlohmann::ordered_json& json, std::string_view where, int depth) {
  if (depth > kMaxDepth) {
    throw DataError(str(where, ": lists and objects are nested more than ", kMaxDepth, " deep"));
  }
  switch (json.type()) {
    case nlohmann::json::value_t::string:
      return Value(json.get_ref<const std::string&>());
    case nlohmann::json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) {
        items.push_back(convert(item, where, depth + 1));
      }
      return Value::list(std::move(items));
    }
    case nlohmann::json::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) {
        dict.set(key, convert(value, where, depth + 1));
      }
      return Value(std::move(dict));
    }
    case nlohmann::json::value_t::number_integer:
    case nlohmann::json::value_t::number_unsigned:
    case nlohmann::json::value_t::number_float:
      return number_from_json(json, where);
    default:
      return Value();
  }
}

std::string_view sequence_name(SequenceKind kind) {
  switch (kind) {
    case SequenceKind::kList:
      return "a list";
    case SequenceKind::kTuple:
      return "a tuple";
    case SequenceKind::kRange:
      return "a range";
    case SequenceKind::kView:
      return "a view of a dict";
    case SequenceKind::kIterator:
      return "an iterator";
  }
  return "";
}

}  // namespace

Value::Value(Dict dict) : data_(std::make_shared<const Dict>(std::move(dict))) {}

Value Value::undefined(std::string why) {
  Value value;
  value.data_ = Undefined{std::make_shared<const std::string>(std::move(why))};
  return value;
}

Value Value::sequence(SequenceKind kind, std::vector<Value> items) {
  int deepest = 0;
  for (const Value& item : items) {
    deepest = std::max(deepest, item.depth());
  }
  Value value;
  value.data_ =
      std::make_shared<const Sequence>(Sequence{kind, std::move(items), deepest + 1, 0, false});
  return value;
}

Value Value::from_json(const nlohmann::ordered_json& json, std::string_view where) {
  return convert(json, where, 0);
}

Value Value::group(Value key, Value list) {
  const int depth = std::max(key.depth(), list.depth()) + 1;
  Value value;
  value.data_ = std::make_shared<const Sequence>(
      Sequence{SequenceKind::kTuple, {std::move(key), std::move(list)}, depth, 0, true});
  return value;
}

bool Value::is(SequenceKind kind) const {
  return is(Kind::kSequence) && as_sequence().kind == kind;
}

i64 Value::as_int() const {
  return is(Kind::kBool) ? as_bool() : std::get<i64>(data_);
}

double Value::as_float() const {
  return is(Kind::kFloat) ? std::get<double>(data_) : static_cast<double>(as_int());
}

const std::vector<Value>& Value::items() const {
  return as_sequence().items;
}

bool Value::truthy() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return as_int() != 0;
    case Kind::kFloat:
      return as_float() != 0.0;
    case Kind::kString:
      return !as_string().empty();
    case Kind::kSequence:
      return is(SequenceKind::kIterator) || !items().empty();
    case Kind::kDict:
      return !as_dict().empty();
    default:
      return true;
  }
}

std::string_view Value::type_name() const {
  switch (kind()) {
    case Kind::kUndefined:
      return "undefined";
    case Kind::kNone:
      return "none";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInt:
      return "an integer";
    case Kind::kFloat:
      return "a float";
    case Kind::kString:
      return "a string";
    case Kind::kSequence:
      return sequence_name(as_sequence().kind);
    case Kind::kDict:
      return "a dict";
    case Kind::kNamespace:
      return "a namespace";
    case Kind::kCallable:
      return "a function";
    case Kind::kLoop:
      return "a loop";
  }
  return "";
}

int Value::depth() const {
  return is(Kind::kSequence) ? as_sequence().depth : is(Kind::kDict) ? as_dict().depth() : 0;
}

bool Value::same_object(const Value& other) const {
  return std::visit(
      [](const auto& a, const auto& b) {
        if constexpr (requires { a.get() == b.get(); }) {
          return static_cast<const void*>(a.get()) == static_cast<const void*>(b.get());
        } else {
          return false;
        }
      },
      data_, other.data_);
}

bool Dict::can_be_key(const Value& value) {
  const auto is_plain = [](const Value& v) {
    return v.is(Kind::kNone) || v.is(Kind::kUndefined) || v.is_number() || v.is(Kind::kString);
  };
  return is_plain(value) || (value.is(SequenceKind::kTuple) && value.items().size() <= kMaxParts &&
                             std::ranges::all_of(value.items(), is_plain));
}

template <class Hash, class Same>
const Value* Dict::find_entry(Hash hash, Same same) const {
  if (entries_.size() <= kScanned) {
    const auto found = std::find_if(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return same(entry.first); });
    return found == entries_.end() ? nullptr : &found->second;
  }
  const auto [begin, end] = index_.equal_range(hash());
  const auto found =
      std::find_if(begin, end, [&](const auto& at) { return same(entries_[at.second].first); });
  return found == end ? nullptr : &entries_[found->second].second;
}

const Value* Dict::find(const Value& key) const {
  return find_entry([&] { return key_hash(key); },
                    [&](const Value& other) { return same_key(other, key); });
}

const Value* Dict::find(std::string_view key) const {
  return find_entry(
      [&] { return std::hash<std::string_view>()(key); },
      [&](const Value& other) { return other.is(Kind::kString) && other.as_string() == key; });
}

void Dict::set(Value key, Value value) {
  // Kept as it grows: asking for a value's depth must not walk through it.
  depth_ = std::max(depth_, value.depth() + 1);
  if (const Value* present = find(key)) {
    const_cast<Value&>(*present) = std::move(value);  // an element of entries_, which is ours
    return;
  }
  entries_.emplace_back(std::move(key), std::move(value));
  if (entries_.size() == kScanned + 1) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      index_.emplace(key_hash(entries_[i].first), i);
    }
  } else if (entries_.size() > kScanned) {
    index_.emplace(key_hash(entries_.back().first), entries_.size() - 1);
  }
}

int compare_numbers(const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) {
    return a.as_int() < b.as_int() ? -1 : a.as_int() > b.as_int() ? 1 : 0;
  }
  // Wide enough for every i64 and every double, so nothing is rounded.
  const auto wide = [](const Value& v) {
    return v.is(Kind::kFloat) ? static_cast<long double>(v.as_float())
                              : static_cast<long double>(v.as_int());
  };
  return wide(a) < wide(b) ? -1 : wide(a) > wide(b) ? 1 : 0;
}

bool same_key(const Value& a, const Value& b) {
  if (a.is(Kind::kString) || b.is(Kind::kString)) {
    return a.is(Kind::kString) && b.is(Kind::kString) && a.as_string() == b.as_string();
  }
  if (a.is(Kind::kSequence) && b.is(Kind::kSequence)) {
    return std::ranges::equal(a.items(), b.items(), same_key);
  }
  if (!a.is_number() || !b.is_number()) {
    return a.kind() == b.kind();  // none or undefined
  }
  return compare_numbers(a, b) == 0;
}

}  // namespace inlay::jinja
