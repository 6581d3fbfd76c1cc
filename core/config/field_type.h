// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "core/types.h"

/// What JSON a config field accepts, as data: the reader checks against it, and the help text and
/// the JSON Schema are printed from it, so the three cannot disagree.
namespace inlay {

/// The numbers a field accepts: [min, max], or without an end where the flag says so.
template <class T>
struct Range {
  T min = std::numeric_limits<T>::lowest();
  T max = std::numeric_limits<T>::max();
  bool above_min = false;
  bool below_max = false;

  bool contains(T x) const {
    return (above_min ? x > min : x >= min) && (below_max ? x < max : x <= max);
  }
  bool has_min() const { return min != std::numeric_limits<T>::lowest(); }
  bool has_max() const { return max != std::numeric_limits<T>::max(); }
};

struct FieldType {
  enum class Kind {
    kNull,
    kBool,
    kInteger,  ///< in `integers`; 3.0 and 1e3 are integers, 2.5 is not
    kNumber,   ///< in `numbers`
    kString,
    kChoice,      ///< a string of `choices`
    kPath,        ///< relative to the file that says it
    kPathOrName,  ///< a path where there is such a file, else a name kept as it stands
    kObject,      ///< any object, kept as it stands
    kList,        ///< each element a parts[0]
    kMap,         ///< an object with free keys, each value a parts[0]
    kOneOf,       ///< any of `parts`
  };

  Kind kind = Kind::kNull;
  Range<i64> integers;
  Range<double> numbers;
  std::vector<std::string> choices;
  std::vector<FieldType> parts;
};

FieldType type_of_kind(FieldType::Kind kind);
FieldType integer_type(Range<i64> range = {});
FieldType number_type(Range<double> range = {});
FieldType choice_type(std::vector<std::string> choices);
FieldType list_of(FieldType element);
FieldType map_of(FieldType value);
/// Unions inside are flattened.
FieldType one_of(std::vector<FieldType> alternatives);
FieldType nullable(FieldType type);

/// `type` with the rule put on every integer, number or string in it.
FieldType with_range(FieldType type, Range<i64> range);
FieldType with_range(FieldType type, Range<double> range);
FieldType with_choices(FieldType type, const std::vector<std::string>& choices);
/// Strings become paths: `kind` is kPath or kPathOrName.
FieldType with_paths(FieldType type, FieldType::Kind kind);

/// As it completes the sentence "expected ...": `an integer from 1 to 1024 or "auto"`.
std::string describe(const FieldType& type);

/// Every string that is a choice in `type`.
std::vector<std::string> choices_of(const FieldType& type);

/// A short decimal that reads back as `value`: "0.0002", "1e-08", "1000000".
std::string number_text(double value);

}  // namespace inlay
