// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iterator>
#include <string_view>

namespace inlay::jinja {

/// What a template writes between two values, or before a number.
enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

/// As it is written, in the order of the enumerators.
inline constexpr std::string_view kOperatorTexts[] = {
    "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
static_assert(std::size(kOperatorTexts) == static_cast<std::size_t>(Operator::kNotIn) + 1);

constexpr std::string_view text_of(Operator op) {
  return kOperatorTexts[static_cast<std::size_t>(op)];
}

}  // namespace inlay::jinja
