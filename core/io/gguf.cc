// SPDX-License-Identifier: Apache-2.0
#include "core/io/gguf.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/error.h"
#include "core/io/gguf_types.h"

namespace inlay {
namespace {

using detail::gguf_where;

constexpr std::size_t kCompared = 5000;  // a suggestion is not worth a second

std::string value_type_of(const GgufValue& value) {
  const auto* array = std::get_if<GgufArray>(&value);
  if (array != nullptr) {
    return str("an array of ", gguf_value_type_name(array->type));
  }
  return str("a ", gguf_value_type_name(static_cast<GgufValueType>(value.index())));
}

/// The whole number in `value`, if it is one that an i64 can hold.
std::optional<i64> whole_number(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> std::optional<i64> {
        using T = std::decay_t<decltype(v)>;
        i64 number = 0;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (!__builtin_add_overflow(v, T{0}, &number)) {
            return number;
          }
        }
        return std::nullopt;
      },
      value);
}

/// Element i of an array whose elements are Ts.
template <class T>
T element(const GgufArray& array, i64 i) {
  T value;
  std::memcpy(&value, array.bytes.data() + i * static_cast<i64>(sizeof(T)), sizeof(T));
  return value;
}

template <class T, class Out>
std::vector<Out> elements(const GgufArray& array) {
  std::vector<Out> out(array.count);
  for (i64 i = 0; i < array.count; ++i) {
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): an i8 is a number here
    out[i] = static_cast<Out>(element<T>(array, i));
  }
  return out;
}

template <class T>
GgufArray array_of(GgufValueType type, const std::vector<T>& values) {
  const auto owner = std::make_shared<const std::vector<T>>(values);
  return {type, static_cast<i64>(owner->size()), std::as_bytes(std::span(*owner)), owner};
}

}  // namespace

GgufArray GgufArray::of(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) {
    const u64 size = value.size();
    bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += value;
  }
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {GgufValueType::kString, static_cast<i64>(values.size()), std::as_bytes(std::span(*owner)),
          owner};
}

GgufArray GgufArray::of(const std::vector<i32>& values) {
  return array_of(GgufValueType::kI32, values);
}

GgufArray GgufArray::of(const std::vector<float>& values) {
  return array_of(GgufValueType::kF32, values);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = key_index_.find(std::string(key));
  return found == key_index_.end() ? nullptr : &metadata_[found->second].second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufTensor& GgufFile::tensor(std::string_view name) const {
  const GgufTensor* found = find_tensor(name);
  if (found == nullptr) {
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < std::min(tensors_.size(), kCompared); ++i) {
      names.push_back(tensors_[i].name);
    }
    throw DataError(str(printable(path(), 300), ": no tensor \"", printable(name), "\"",
                        printable(did_you_mean(name, names), 200)));
  }
  return *found;
}

std::optional<i64> GgufFile::find_int(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const std::optional<i64> number = whole_number(*value);
  if (!number) {
    throw_wrong_type(key, "a whole number below 2^63");
  }
  return number;
}

std::optional<double> GgufFile::find_float(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* single = std::get_if<float>(value)) {
    return *single;
  }
  if (const auto* twice = std::get_if<double>(value)) {
    return *twice;
  }
  throw_wrong_type(key, "a float");
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* truth = std::get_if<bool>(value)) {
    return *truth;
  }
  throw_wrong_type(key, "a bool");
}

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* text = std::get_if<std::string>(value)) {
    return *text;
  }
  throw_wrong_type(key, "a string");
}

const GgufArray* GgufFile::find_array(std::string_view key, std::string_view expected) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return nullptr;
  }
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr) {
    throw_wrong_type(key, expected);
  }
  return array;
}

std::optional<std::vector<std::string_view>> GgufFile::find_strings(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of strings";
  const GgufArray* array = find_array(key, kExpected);
  if (array == nullptr) {
    return std::nullopt;
  }
  if (array->type != GgufValueType::kString) {
    throw_wrong_type(key, kExpected);
  }
  std::vector<std::string_view> out(array->count);
  const char* at = reinterpret_cast<const char*>(array->bytes.data());
  for (std::string_view& text : out) {  // lengths were checked when the file was read
    u64 size = 0;
    std::memcpy(&size, at, sizeof size);
    text = {at + sizeof size, size};
    at += sizeof size + size;
  }
  return out;
}

std::optional<std::vector<i64>> GgufFile::find_ints(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of whole numbers below 2^63";
  const GgufArray* array = find_array(key, kExpected);
  if (array == nullptr) {
    return std::nullopt;
  }
  switch (array->type) {
    case GgufValueType::kU8:
    case GgufValueType::kBool:
      return elements<u8, i64>(*array);
    case GgufValueType::kI8:
      return elements<i8, i64>(*array);
    case GgufValueType::kU16:
      return elements<u16, i64>(*array);
    case GgufValueType::kI16:
      return elements<i16, i64>(*array);
    case GgufValueType::kU32:
      return elements<u32, i64>(*array);
    case GgufValueType::kI32:
      return elements<i32, i64>(*array);
    case GgufValueType::kI64:
      return elements<i64, i64>(*array);
    case GgufValueType::kU64: {
      std::vector<i64> out = elements<u64, i64>(*array);
      if (std::any_of(out.begin(), out.end(), [](i64 value) { return value < 0; })) {
        throw_wrong_type(key, kExpected);
      }
      return out;
    }
    default:
      throw_wrong_type(key, kExpected);
  }
}

std::optional<std::vector<float>> GgufFile::find_floats(std::string_view key) const {
  constexpr std::string_view kExpected = "an array of floats";
  const GgufArray* array = find_array(key, kExpected);
  if (array == nullptr) {
    return std::nullopt;
  }
  switch (array->type) {
    case GgufValueType::kF32:
      return elements<float, float>(*array);
    case GgufValueType::kF64:
      return elements<double, float>(*array);
    default:
      throw_wrong_type(key, kExpected);
  }
}

void GgufFile::throw_missing(std::string_view key) const {
  std::vector<std::string_view> keys;
  for (std::size_t i = 0; i < std::min(metadata_.size(), kCompared); ++i) {
    keys.push_back(metadata_[i].first);
  }
  throw DataError(str(printable(path(), 300), ": no key \"", printable(key), "\"",
                      printable(did_you_mean(key, keys), 200)));
}

void GgufFile::throw_wrong_type(std::string_view key, std::string_view expected) const {
  throw DataError(
      str(gguf_where(path(), key), ": expected ", expected, ", found ", value_type_of(*find(key))));
}

}  // namespace inlay
