// SPDX-License-Identifier: Apache-2.0
#include "core/config/field_type.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

using Kind = FieldType::Kind;

/// Applies `change` to every part of `type` that holds no other.
template <class Change>
FieldType changed(FieldType type, const Change& change) {
  for (FieldType& part : type.parts) {
    part = changed(std::move(part), change);
  }
  change(type);
  return type;
}

std::string bound_text(i64 value) {
  return str(value);
}
std::string bound_text(double value) {
  return number_text(value);
}

/// " from 1 to 1024", " above 0", " of at least 0 and below 1", or "" where all are allowed.
template <class T>
std::string range_text(const Range<T>& range) {
  if (range.has_min() && range.has_max() && !range.above_min && !range.below_max) {
    return str(" from ", bound_text(range.min), " to ", bound_text(range.max));
  }
  std::string text;
  if (range.has_min()) {
    text = str(range.above_min ? " above " : " of at least ", bound_text(range.min));
  }
  if (range.has_max()) {
    text += str(text.empty() ? "" : " and", range.below_max ? " below " : " of at most ",
                bound_text(range.max));
  }
  return text;
}

/// "a", "a or b", "a, b or c".
std::string joined_with_or(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    text += i == 0 ? "" : i + 1 == items.size() ? " or " : ", ";
    text += items[i];
  }
  return text;
}

/// The words and phrases that joined_with_or() makes into a description.
std::vector<std::string> phrases(const FieldType& type) {
  switch (type.kind) {
    case Kind::kBool:
      return {"true", "false"};
    case Kind::kPathOrName:
      return {"a path", "a name"};
    case Kind::kChoice: {
      std::vector<std::string> quoted;
      for (const std::string& choice : type.choices) {
        quoted.push_back("\"" + choice + "\"");
      }
      return quoted;
    }
    case Kind::kOneOf: {
      std::vector<std::string> all;
      for (const FieldType& part : type.parts) {
        const std::vector<std::string> more = phrases(part);
        all.insert(all.end(), more.begin(), more.end());
      }
      return all;
    }
    default:
      return {describe(type)};
  }
}

/// The same as describe() for many: "integers from 1 to 1024".
std::string describe_many(const FieldType& type) {
  switch (type.kind) {
    case Kind::kBool:
      return "booleans";
    case Kind::kInteger:
      return "integers" + range_text(type.integers);
    case Kind::kNumber:
      return "numbers" + range_text(type.numbers);
    case Kind::kString:
      return "strings";
    case Kind::kPath:
    case Kind::kPathOrName:
      return "paths";
    case Kind::kObject:
      return "objects";
    case Kind::kChoice:
      return "strings (" + describe(type) + ")";
    default:
      return "values (" + describe(type) + ")";
  }
}

}  // namespace

FieldType type_of_kind(Kind kind) {
  FieldType type;
  type.kind = kind;
  return type;
}

FieldType integer_type(Range<i64> range) {
  FieldType type = type_of_kind(Kind::kInteger);
  type.integers = range;
  return type;
}

FieldType number_type(Range<double> range) {
  FieldType type = type_of_kind(Kind::kNumber);
  type.numbers = range;
  return type;
}

FieldType choice_type(std::vector<std::string> choices) {
  FieldType type = type_of_kind(Kind::kChoice);
  type.choices = std::move(choices);
  return type;
}

FieldType list_of(FieldType element) {
  FieldType type = type_of_kind(Kind::kList);
  type.parts.push_back(std::move(element));
  return type;
}

FieldType map_of(FieldType value) {
  FieldType type = type_of_kind(Kind::kMap);
  type.parts.push_back(std::move(value));
  return type;
}

FieldType one_of(std::vector<FieldType> alternatives) {
  FieldType type = type_of_kind(Kind::kOneOf);
  for (FieldType& alternative : alternatives) {
    if (alternative.kind == Kind::kOneOf) {
      // Flat, so that a description reads "a, b or c".
      for (FieldType& part : alternative.parts) {
        type.parts.push_back(std::move(part));
      }
    } else {
      type.parts.push_back(std::move(alternative));
    }
  }
  return type;
}

FieldType nullable(FieldType type) {
  std::vector<FieldType> alternatives;
  alternatives.push_back(std::move(type));
  alternatives.push_back(type_of_kind(Kind::kNull));
  return one_of(std::move(alternatives));
}

FieldType with_range(FieldType type, Range<i64> range) {
  return changed(std::move(type), [&](FieldType& part) {
    if (part.kind == Kind::kInteger) {
      part.integers = range;
    }
  });
}

FieldType with_range(FieldType type, Range<double> range) {
  return changed(std::move(type), [&](FieldType& part) {
    if (part.kind == Kind::kNumber) {
      part.numbers = range;
    }
  });
}

FieldType with_choices(FieldType type, const std::vector<std::string>& choices) {
  return changed(std::move(type), [&](FieldType& part) {
    if (part.kind == Kind::kString) {
      // Also inside lists and unions: a list of strings becomes a list of choices.
      part = choice_type(choices);
    }
  });
}

FieldType with_paths(FieldType type, Kind kind) {
  return changed(std::move(type), [&](FieldType& part) {
    if (part.kind == Kind::kString) {
      part.kind = kind;
    }
  });
}

std::string describe(const FieldType& type) {
  switch (type.kind) {
    case Kind::kNull:
      return "null";
    case Kind::kInteger:
      return "an integer" + range_text(type.integers);
    case Kind::kNumber:
      return "a number" + range_text(type.numbers);
    case Kind::kString:
      return "a string";
    case Kind::kPath:
      return "a path";
    case Kind::kObject:
      return "an object";
    case Kind::kList:
      return "a list of " + describe_many(type.parts[0]);
    case Kind::kMap:
      return "an object of " + describe_many(type.parts[0]);
    case Kind::kBool:
    case Kind::kChoice:
    case Kind::kPathOrName:
    case Kind::kOneOf:
      break;
  }
  return joined_with_or(phrases(type));
}

std::vector<std::string> choices_of(const FieldType& type) {
  std::vector<std::string> all = type.choices;
  for (const FieldType& part : type.parts) {
    const std::vector<std::string> more = choices_of(part);
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::string number_text(double value) {
  constexpr double kWritten = 1e9;  // 1000000 is clearer than 1e+06
  if (std::abs(value) <= kWritten && value == std::floor(value)) {
    return str(static_cast<i64>(value));
  }
  char text[32];  // the longest shortest double has 24 characters
  const auto end = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end.ptr);
}

}  // namespace inlay
