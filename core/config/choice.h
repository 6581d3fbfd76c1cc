// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/values.h"

/// Values that are spelt as one of some words: the enumerators of an enum, the rows of a table. The
/// words stand in one table, and what reads a config, prints it, describes it or complains of it
/// reads that table:
///
///     enum class Truncation { kKeepStart, kKeepEnd };
///     template <>
///     struct ChoicesOf<Truncation> {
///       static std::span<const Choice<Truncation>> all();  // {{"keep_start", kKeepStart}, …}
///     };
///
///     Truncation truncation = Truncation::kKeepStart;
///     v.field("truncation", truncation, "what a row over max_length keeps");
namespace inlay {

template <class T>
struct Choice {
  std::string_view name;
  T value;
};

/// The table of T, in the order in which people are told of it. Specialised where T is declared, or
/// where the config is that spells it.
template <class T>
struct ChoicesOf;

template <class T>
concept HasChoices = requires {
  ChoicesOf<T>::all();
};

/// The value of that name, or nothing.
template <HasChoices T>
std::optional<T> find_choice(std::string_view name) {
  for (const Choice<T>& choice : ChoicesOf<T>::all()) {
    if (choice.name == name) {
      return choice.value;
    }
  }
  return std::nullopt;
}

/// How `value` is spelt; "" for one that has no word, which a config cannot hold.
template <HasChoices T>
std::string_view choice_name(const T& value) {
  for (const Choice<T>& choice : ChoicesOf<T>::all()) {
    if (choice.value == value) {
      return choice.name;
    }
  }
  return "";
}
template <HasChoices T>
std::string_view choice_name(const AutoOr<T>& value) {
  return value.is_auto() ? "auto" : choice_name(*value.value);
}

/// Every word, or those of some values.
template <HasChoices T>
std::vector<std::string> choice_names() {
  std::vector<std::string> names;
  for (const Choice<T>& choice : ChoicesOf<T>::all()) {
    names.emplace_back(choice.name);
  }
  return names;
}
template <HasChoices T>
std::vector<std::string> choice_names(std::span<const T> values) {
  std::vector<std::string> names;
  for (const T& value : values) {
    names.emplace_back(choice_name(value));
  }
  return names;
}

/// A reference to such a value, or to an AutoOr of one, that has forgotten its type: what a list of
/// fields keeps of it.
class ChoiceSlot {
 public:
  template <HasChoices T>
  explicit ChoiceSlot(T& value)
      : value_(&value),
        names_([] { return choice_names<T>(); }),
        name_([](const void* v) { return choice_name(*static_cast<const T*>(v)); }),
        set_([](void* v, std::string_view name) {
          *static_cast<T*>(v) = find_choice<T>(name).value();
        }) {}
  template <HasChoices T>
  explicit ChoiceSlot(AutoOr<T>& value)
      : value_(&value),
        names_([] { return with_auto(choice_names<T>()); }),
        name_([](const void* v) { return choice_name(*static_cast<const AutoOr<T>*>(v)); }),
        set_([](void* v, std::string_view name) {
          static_cast<AutoOr<T>*>(v)->value = find_choice<T>(name);
        }) {}

  std::vector<std::string> names() const { return names_(); }
  std::string_view name() const { return name_(value_); }
  /// REQUIRES one of names().
  void set(std::string_view name) const { set_(value_, name); }

  /// "auto" first, as people are told of it.
  static std::vector<std::string> with_auto(std::vector<std::string> names) {
    names.insert(names.begin(), "auto");
    return names;
  }

 private:
  void* value_;
  std::vector<std::string> (*names_)();
  std::string_view (*name_)(const void*);
  void (*set_)(void*, std::string_view);
};

}  // namespace inlay
