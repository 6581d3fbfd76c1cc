// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

/// A Hugging Face config.json, read key by key with checked types. Files leave out what equals the
/// class default, so most reads name one; a JSON null counts as left out. Every complaint is a
/// DataError naming the file and the key.
class HfConfig {
 public:
  HfConfig(const nlohmann::json& values, std::string file);

  const std::string& file() const { return file_; }
  const nlohmann::json& json() const { return *values_; }

  bool has(std::string_view key) const;
  /// At least `least`; without a default the key must be there.
  i64 integer(std::string_view key, std::optional<i64> otherwise = {}, i64 least = 1) const;
  /// The same where null is a value of its own, and the key left out means `otherwise`.
  std::optional<i64> integer_or_null(std::string_view key, std::optional<i64> otherwise) const;
  double number(std::string_view key, std::optional<double> otherwise = {}) const;
  bool flag(std::string_view key, bool otherwise) const;
  std::string text(std::string_view key, std::optional<std::string> otherwise = {}) const;
  /// A list of numbers, which must be there.
  std::vector<double> numbers(std::string_view key) const;
  /// A list of strings, which must be there.
  std::vector<std::string> texts(std::string_view key) const;
  /// The object under `key`, or nothing.
  std::optional<HfConfig> object(std::string_view key) const;

  /// A number of layers: some hundreds in the largest models, so that a lie is told before a model
  /// of random weights grows without end.
  i64 layers(std::string_view key, std::optional<i64> otherwise = {}) const;

  /// Refuses a key set to anything but its neutral value, which would change the maths in a way
  /// inlay does not know.
  void refuse_flag(std::string_view key) const;
  [[noreturn]] void fail(std::string_view key, const std::string& complaint) const;

 private:
  HfConfig(const nlohmann::json& values, std::string file, std::string path);
  const nlohmann::json* find(std::string_view key) const;

  std::shared_ptr<const nlohmann::json> values_;
  std::string file_;
  std::string path_;
};

}  // namespace inlay
