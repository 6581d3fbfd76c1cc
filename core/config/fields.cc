// SPDX-License-Identifier: Apache-2.0
#include "core/config/fields.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Kind = FieldType::Kind;

// The three tables below have a row for every C++ type a field may have. Containers are declared
// before the rows and defined behind them, so that they find the rows of what they hold, and one
// another's.
// ---- natural_type: what a C++ type accepts; the argument only chooses the overload.

template <class T>
FieldType type_for(const std::vector<T>*);
template <class T>
FieldType type_for(const OrderedMap<T>*);
template <class T>
FieldType type_for(const std::optional<T>*);
template <class T>
FieldType type_for(const AutoOr<T>*);

FieldType type_for(const bool*) {
  return type_of_kind(Kind::kBool);
}
FieldType type_for(const i64*) {
  return integer_type();
}
FieldType type_for(const double*) {
  return number_type();
}
FieldType type_for(const float*) {
  // What a float cannot hold is refused by the range, with the key, and never becomes an infinity.
  constexpr double kMax = std::numeric_limits<float>::max();
  return number_type({-kMax, kMax});
}
FieldType type_for(const std::string*) {
  return type_of_kind(Kind::kString);
}
FieldType type_for(const FreeObject*) {
  return nullable(type_of_kind(Kind::kObject));
}
FieldType type_for(const StringOrList*) {
  return one_of({type_of_kind(Kind::kString), list_of(type_of_kind(Kind::kString))});
}
FieldType type_for(const BoolOrString*) {
  return one_of({type_of_kind(Kind::kBool), type_of_kind(Kind::kString)});
}
FieldType type_for(const IntegerOrString*) {
  return one_of({integer_type(), type_of_kind(Kind::kString)});
}
template <class T>
FieldType type_for(const std::vector<T>*) {
  return list_of(type_for(static_cast<T*>(nullptr)));
}
template <class T>
FieldType type_for(const OrderedMap<T>*) {
  return map_of(type_for(static_cast<T*>(nullptr)));
}
template <class T>
FieldType type_for(const std::optional<T>*) {
  return nullable(type_for(static_cast<T*>(nullptr)));
}
template <class T>
FieldType type_for(const AutoOr<T>*) {
  return one_of({choice_type({"auto"}), type_for(static_cast<T*>(nullptr))});
}

// ---- encode

template <class T>
Json encode(const std::vector<T>& values);
template <class T>
Json encode(const OrderedMap<T>& values);
template <class T>
Json encode(const std::optional<T>& value);
template <class T>
Json encode(const AutoOr<T>& value);

Json encode(bool value) {
  return value;
}
Json encode(i64 value) {
  return value;
}
Json encode(double value) {
  return value;
}
/// Through the shortest decimal of the float: 0.1F is written 0.1, not 0.10000000149011612.
Json encode(float value) {
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, value).ptr;
  double decimal = 0.0;
  std::from_chars(text, end, decimal);
  return decimal;
}
Json encode(const std::string& value) {
  return value;
}
Json encode(const FreeObject& value) {
  return value ? *value.json : Json();
}
Json encode(const StringOrList& value) {
  return std::visit([](const auto& held) { return encode(held); }, value);
}
Json encode(const BoolOrString& value) {
  return std::visit([](const auto& held) { return encode(held); }, value);
}
Json encode(const IntegerOrString& value) {
  return std::visit([](const auto& held) { return encode(held); }, value);
}
template <class T>
Json encode(const std::vector<T>& values) {
  Json list = Json::array();
  for (const T& value : values) {
    list.push_back(encode(value));
  }
  return list;
}
template <class T>
Json encode(const OrderedMap<T>& values) {
  Json object = Json::object();
  for (const auto& [key, value] : values) {
    object[key] = encode(value);
  }
  return object;
}
template <class T>
Json encode(const std::optional<T>& value) {
  return value.has_value() ? encode(*value) : Json();
}
template <class T>
Json encode(const AutoOr<T>& value) {
  return value.is_auto() ? Json("auto") : encode(*value.value);
}

// ---- decode

template <class T>
void decode(const Json& json, std::vector<T>& values);
template <class T>
void decode(const Json& json, OrderedMap<T>& values);
template <class T>
void decode(const Json& json, std::optional<T>& value);
template <class T>
void decode(const Json& json, AutoOr<T>& value);

void decode(const Json& json, bool& value) {
  value = json.get<bool>();
}
void decode(const Json& json, i64& value) {
  value = json.get<i64>();
}
void decode(const Json& json, double& value) {
  value = json.get<double>();
}
void decode(const Json& json, float& value) {
  value = static_cast<float>(json.get<double>());
}
void decode(const Json& json, std::string& value) {
  value = json.get<std::string>();
}
void decode(const Json& json, FreeObject& value) {
  value.json = json.is_null() ? nullptr : std::make_shared<const Json>(json);
}
void decode(const Json& json, StringOrList& value) {
  if (json.is_array()) {
    decode(json, value.emplace<std::vector<std::string>>());
  } else {
    decode(json, value.emplace<std::string>());
  }
}
void decode(const Json& json, BoolOrString& value) {
  if (json.is_boolean()) {
    value = json.get<bool>();
  } else {
    value = json.get<std::string>();
  }
}
void decode(const Json& json, IntegerOrString& value) {
  if (json.is_string()) {
    value = json.get<std::string>();
  } else {
    value = json.get<i64>();
  }
}
template <class T>
void decode(const Json& json, std::vector<T>& values) {
  values.clear();
  if (json.is_null()) {
    return;
  }
  // A single element, where the field's type lets one through (FieldVisitor::typed).
  if (!json.is_array()) {
    decode(json, values.emplace_back());
    return;
  }
  for (const Json& element : json) {
    decode(element, values.emplace_back());
  }
}
template <class T>
void decode(const Json& json, OrderedMap<T>& values) {
  values.clear();
  for (const auto& [key, value] : json.items()) {
    values.emplace_back(key, T());
    decode(value, values.back().second);
  }
}
template <class T>
void decode(const Json& json, std::optional<T>& value) {
  value.reset();
  if (!json.is_null()) {
    decode(json, value.emplace());
  }
}
template <class T>
void decode(const Json& json, AutoOr<T>& value) {
  value.value.reset();
  if (!json.is_string()) {
    decode(json, value.value.emplace());
  }
}

// ---- what a slot holds: a pointer to a value, or a choice

template <class T>
FieldType type_at(const T* value) {
  return type_for(value);
}
FieldType type_at(const ChoiceSlot& choice) {
  return choice_type(choice.names());
}

template <class T>
Json encode_at(const T* value) {
  return encode(*value);
}
Json encode_at(const ChoiceSlot& choice) {
  return choice.name();
}

template <class T>
void decode_at(const Json& json, T* value) {
  decode(json, *value);
}
void decode_at(const Json& json, const ChoiceSlot& choice) {
  choice.set(json.get_ref<const std::string&>());
}

}  // namespace

FieldType FieldSlot::natural_type() const {
  return std::visit([](const auto& slot) { return type_at(slot); }, pointer_);
}

Json FieldSlot::get() const {
  return std::visit([](const auto& slot) { return encode_at(slot); }, pointer_);
}

void FieldSlot::set(const Json& json) const {
  std::visit([&](const auto& slot) { decode_at(json, slot); }, pointer_);
}

std::string json_pointer(std::string_view parent, std::string_view key) {
  std::string pointer(parent);
  pointer += '/';
  for (const char c : key) {
    pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return pointer;
}

}  // namespace inlay
