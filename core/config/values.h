// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/types.h"

/// The C++ types of config values that JSON has and C++ has not.
namespace inlay {

/// "auto", or a value: `AutoOr<i64> threads;` starts as "auto".
template <class T>
struct AutoOr {
  std::optional<T> value;

  AutoOr() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a T is one of the two things this can be
  AutoOr(T chosen) : value(std::move(chosen)) {}

  bool is_auto() const { return !value.has_value(); }
  friend bool operator==(const AutoOr&, const AutoOr&) = default;
};

/// An object with free keys, in the order of the file: of PEFT's patterns the first match counts.
template <class T>
using OrderedMap = std::vector<std::pair<std::string, T>>;

using StringOrList = std::variant<std::string, std::vector<std::string>>;
using BoolOrString = std::variant<bool, std::string>;
using IntegerOrString = std::variant<i64, std::string>;

/// An object kept as it stands, for keys that others define; null when not set. Shared, not copied.
struct FreeObject {
  std::shared_ptr<const nlohmann::ordered_json> json;

  explicit operator bool() const { return json != nullptr; }
};

}  // namespace inlay
