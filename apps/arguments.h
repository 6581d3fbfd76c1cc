// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/config/choice.h"
#include "core/types.h"

namespace inlay {

/// The command line of one command. The variables given keep their values as defaults.
class Arguments {
 public:
  /// `command` as typed ("inlay train"), and what it does in one sentence.
  Arguments(const std::string& command, const std::string& description);
  ~Arguments();

  /// An argument by place; `name` is how the help shows it.
  Arguments& positional(const std::string& name, std::string& value, const std::string& help,
                        bool required = true);
  Arguments& positional(const std::string& name, std::vector<std::string>& values,
                        const std::string& help);
  /// Options, "--name" or "-n,--name".
  Arguments& option(const std::string& name, std::string& value, const std::string& help);
  Arguments& option(const std::string& name, i64& value, const std::string& help);
  Arguments& option(const std::string& name, double& value, const std::string& help);
  Arguments& option(const std::string& name, std::vector<std::string>& values,
                    const std::string& help);
  /// One of the words of `value`'s type, of those in `allowed` if it names some. With AutoOr,
  /// "auto" as well.
  template <HasChoices T>
  Arguments& choice(const std::string& name, T& value, const std::string& help,
                    std::initializer_list<T> allowed = {}) {
    return word(name, help, words(allowed),
                [&value](const std::string& word) { value = *find_choice<T>(word); });
  }
  template <HasChoices T>
  Arguments& choice(const std::string& name, AutoOr<T>& value, const std::string& help,
                    std::initializer_list<T> allowed = {}) {
    return word(name, help, ChoiceSlot::with_auto(words(allowed)),
                [&value](const std::string& word) { value.value = find_choice<T>(word); });
  }
  /// Nothing where the option is left out.
  template <HasChoices T>
  Arguments& choice(const std::string& name, std::optional<T>& value, const std::string& help,
                    std::initializer_list<T> allowed = {}) {
    return word(name, help, words(allowed),
                [&value](const std::string& word) { value = find_choice<T>(word); });
  }
  Arguments& flag(const std::string& name, bool& value, const std::string& help);
  /// The option given last must be on the command line.
  Arguments& required();
  /// The value of the option given last may be left out and is then `implied`.
  Arguments& optional_value(const std::string& implied);
  /// Text under the options in the help.
  Arguments& footer(const std::string& text);

  /// Fills the variables. False when help was asked for, which has then been printed. Throws
  /// ConfigError for an unknown option (with the nearest one), a missing or a malformed value.
  bool parse(std::span<const std::string> arguments);

 private:
  struct Parser;
  template <HasChoices T>
  static std::vector<std::string> words(std::initializer_list<T> allowed) {
    return allowed.size() == 0 ? choice_names<T>()
                               : choice_names(std::span<const T>(allowed.begin(), allowed.size()));
  }
  Arguments& word(const std::string& name, const std::string& help,
                  const std::vector<std::string>& allowed,
                  const std::function<void(const std::string&)>& take);
  template <class Number>
  Arguments& number(const std::string& name, Number& value, const std::string& help,
                    const char* type, const char* expected);
  std::unique_ptr<Parser> parser_;
};

/// Throws ConfigError `<option>: expected at least <least>, found <value>` when it is less.
void require_at_least(const char* option, i64 value, i64 least);
/// Throws ConfigError unless `value` is a date as CivilTime::parse reads it.
void require_date(const char* option, const std::string& value);
/// The same for `at most`.
void require_at_most(const char* option, i64 value, i64 most);
/// Throws ConfigError `<option>: expected one of …` unless `value` is among the choices.
void require_choice(const char* option, const std::string& value,
                    const std::vector<std::string>& choices);

}  // namespace inlay
