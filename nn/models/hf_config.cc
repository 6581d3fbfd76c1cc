// SPDX-License-Identifier: Apache-2.0
#include "nn/models/hf_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace inlay {

HfConfig::HfConfig(const nlohmann::json& values, std::string file)
    : HfConfig(values, std::move(file), "") {}

HfConfig::HfConfig(const nlohmann::json& values, std::string file, std::string path)
    : values_(std::make_shared<const nlohmann::json>(values)),
      file_(std::move(file)),
      path_(std::move(path)) {
  if (!values.is_object()) {
    throw DataError(str(file_, path_.empty() ? "" : ": " + path_, ": expected a JSON object"));
  }
}

void HfConfig::fail(std::string_view key, const std::string& complaint) const {
  throw DataError(str(file_, ": ", path_, "/", key, ": ", complaint));
}

const nlohmann::json* HfConfig::find(std::string_view key) const {
  const auto it = values_->find(key);
  return it == values_->end() || it->is_null() ? nullptr : &*it;
}

bool HfConfig::has(std::string_view key) const {
  return find(key) != nullptr;
}

i64 HfConfig::integer(std::string_view key, std::optional<i64> otherwise, i64 least) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    if (!otherwise) {
      fail(key, "missing");
    }
    return *otherwise;
  }
  // Far above any real size, and low enough that products of two sizes stay in range.
  constexpr i64 kMaxValue = i64{1} << 31;
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<u64>() > kMaxValue) || value->get<i64>() < least ||
      value->get<i64>() > kMaxValue) {
    fail(key, str("expected an integer from ", least, " to ", kMaxValue, ", found ",
                  printable(value->dump())));
  }
  return value->get<i64>();
}

std::optional<i64> HfConfig::integer_or_null(std::string_view key,
                                             std::optional<i64> otherwise) const {
  if (!values_->contains(key)) {
    return otherwise;
  }
  return has(key) ? std::optional(integer(key)) : std::nullopt;
}

i64 HfConfig::layers(std::string_view key, std::optional<i64> otherwise) const {
  constexpr i64 kMaxLayers = 4096;
  const i64 count = integer(key, otherwise);
  if (count > kMaxLayers) {
    fail(key, str("expected an integer from 1 to ", kMaxLayers, ", found ", count));
  }
  return count;
}

double HfConfig::number(std::string_view key, std::optional<double> otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    if (!otherwise) {
      fail(key, "missing");
    }
    return *otherwise;
  }
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    fail(key, str("expected a number, found ",
                  value->is_number() ? str(value->get<double>()) : printable(value->dump())));
  }
  return value->get<double>();
}

bool HfConfig::flag(std::string_view key, bool otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_boolean()) {
    fail(key, str("expected true or false, found ", printable(value->dump())));
  }
  return value->get<bool>();
}

std::string HfConfig::text(std::string_view key, std::optional<std::string> otherwise) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    if (!otherwise) {
      fail(key, "missing");
    }
    return *otherwise;
  }
  if (!value->is_string()) {
    fail(key, str("expected a string, found ", printable(value->dump())));
  }
  return value->get<std::string>();
}

std::vector<double> HfConfig::numbers(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    fail(key, "missing");
  }
  const bool all = value->is_array() && std::ranges::all_of(*value, [](const nlohmann::json& x) {
                     return x.is_number() && std::isfinite(x.get<double>());
                   });
  if (!all) {
    fail(key, "expected a list of numbers");
  }
  return value->get<std::vector<double>>();
}

std::vector<std::string> HfConfig::texts(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    fail(key, "missing");
  }
  const auto is_string = [](const nlohmann::json& x) { return x.is_string(); };
  if (!value->is_array() || !std::ranges::all_of(*value, is_string)) {
    fail(key, "expected a list of strings");
  }
  return value->get<std::vector<std::string>>();
}

std::optional<HfConfig> HfConfig::object(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    return {};
  }
  return HfConfig(*value, file_, str(path_, "/", key));
}

void HfConfig::refuse_flag(std::string_view key) const {
  if (flag(key, false)) {
    fail(key, "true is not supported");
  }
}

}  // namespace inlay
