// SPDX-License-Identifier: Apache-2.0
#include "apps/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>

#include "core/error.h"
#include "data/template/civil_time.h"

namespace inlay {

struct Arguments::Parser {
  Parser(const std::string& name, const std::string& description)
      : command(name), app(description, name) {}

  CLI::Option* add(CLI::Option* option) {
    last = option;
    return option;
  }

  // As errors have it, which begin with the program's name: "train" for "inlay train".
  std::string name() const { return command.substr(command.find(' ') + 1); }

  // The nearest option to one that does not exist, in the words of an error.
  std::string suggestion(const std::string& unknown) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
    return did_you_mean(unknown.substr(0, unknown.find('=')), names);
  }

  std::string command;
  CLI::App app;
  CLI::Option* last = nullptr;
};

Arguments::Arguments(const std::string& command, const std::string& description)
    : parser_(std::make_unique<Parser>(command, description)) {
  parser_->app.allow_extras();  // so that an unknown option gets our own sentence
  parser_->app.set_help_flag("-h,--help", "show this help");
}

Arguments::~Arguments() = default;

Arguments& Arguments::positional(const std::string& name, std::string& value,
                                 const std::string& help, bool required) {
  parser_->add(parser_->app.add_option(name, value, help))->required(required);
  return *this;
}

Arguments& Arguments::positional(const std::string& name, std::vector<std::string>& values,
                                 const std::string& help) {
  parser_->add(parser_->app.add_option(name, values, help));
  return *this;
}

Arguments& Arguments::option(const std::string& name, std::string& value, const std::string& help) {
  parser_->add(parser_->app.add_option(name, value, help));
  return *this;
}

Arguments& Arguments::option(const std::string& name, i64& value, const std::string& help) {
  return number(name, value, help, "INT", "a whole number");
}

Arguments& Arguments::option(const std::string& name, double& value, const std::string& help) {
  return number(name, value, help, "FLOAT", "a number");
}

// The whole text must be the number: the parser's own conversion takes "1e30" for some integer.
template <class Number>
Arguments& Arguments::number(const std::string& name, Number& value, const std::string& help,
                             const char* type, const char* expected) {
  const std::string shown = name.substr(name.find("--"));
  const auto read = [&value, shown, expected](const CLI::results_t& results) {
    const std::string& text = results.back();
    const char* end = text.data() + text.size();
    Number parsed{};
    const auto [stop, error] = std::from_chars(text.data(), end, parsed);
    if (text.empty() || error != std::errc() || stop != end) {
      throw ConfigError(str(shown, ": expected ", expected, ", found \"", printable(text), "\""));
    }
    value = parsed;
    return true;
  };
  parser_->add(parser_->app.add_option(name, CLI::callback_t(read), help))
      ->type_name(type)
      ->default_str(str(value));
  return *this;
}

Arguments& Arguments::word(const std::string& name, const std::string& help,
                           const std::vector<std::string>& allowed,
                           const std::function<void(const std::string&)>& take) {
  const std::string shown = name.substr(name.find("--"));
  const auto read = [shown, allowed, take](const CLI::results_t& results) {
    require_choice(shown.c_str(), results.back(), allowed);
    take(results.back());
    return true;
  };
  parser_->add(parser_->app.add_option(name, CLI::callback_t(read), help))->type_name("TEXT");
  return *this;
}

Arguments& Arguments::option(const std::string& name, std::vector<std::string>& values,
                             const std::string& help) {
  // One value for each time the option is given, so that a following argument by place is left
  // alone.
  parser_->add(parser_->app.add_option(name, values, help))->expected(1)->take_all();
  return *this;
}

Arguments& Arguments::flag(const std::string& name, bool& value, const std::string& help) {
  parser_->add(parser_->app.add_flag(name, value, help));
  return *this;
}

Arguments& Arguments::required() {
  parser_->last->required();
  return *this;
}

Arguments& Arguments::optional_value(const std::string& implied) {
  parser_->last->expected(0, 1)->default_str(implied);
  return *this;
}

Arguments& Arguments::footer(const std::string& text) {
  parser_->app.footer(text);
  return *this;
}

bool Arguments::parse(std::span<const std::string> arguments) {
  CLI::App& app = parser_->app;
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return false;
  } catch (const CLI::ParseError& e) {
    // An unknown option often makes CLI11 complain of something missing; the unknown one is the
    // cause.
    const std::vector<std::string> extras = app.remaining();
    if (extras.empty()) {
      const std::string what = e.what();
      const bool valueless =
          e.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch);
      throw ConfigError(str(parser_->name(), ": ",
                            valueless ? what.substr(0, what.find(": ")) + " needs a value" : what,
                            " (see ", parser_->command, " --help)"));
    }
  }
  const std::vector<std::string> extras = app.remaining();
  if (!extras.empty()) {
    const bool option = extras[0].starts_with("-");
    throw ConfigError(
        str(parser_->name(), ": ", option ? "unknown option " : "unexpected argument ", "\"",
            printable(extras[0]), "\"", option ? parser_->suggestion(extras[0]) : std::string(),
            " (see ", parser_->command, " --help)"));
  }
  return true;
}

void require_at_least(const char* option, i64 value, i64 least) {
  if (value < least) {
    throw ConfigError(str(option, ": expected at least ", least, ", found ", value));
  }
}

void require_at_most(const char* option, i64 value, i64 most) {
  if (value > most) {
    throw ConfigError(str(option, ": expected at most ", most, ", found ", value));
  }
}

void require_date(const char* option, const std::string& value) {
  try {
    CivilTime::parse(value);
  } catch (const DataError& error) {
    throw ConfigError(str(option, ": ", error.what()));
  }
}

void require_choice(const char* option, const std::string& value,
                    const std::vector<std::string>& choices) {
  if (std::ranges::find(choices, value) != choices.end()) {
    return;
  }
  std::string known;
  for (const std::string& choice : choices) {
    known += (known.empty() ? "" : ", ") + choice;
  }
  throw ConfigError(str(option, ": expected one of ", known, ", found \"", printable(value), "\"",
                        did_you_mean(value, choices)));
}

}  // namespace inlay
