// SPDX-License-Identifier: Apache-2.0
#include "core/config/json.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

/// Reads the text for the library's parser and tells how far it has come, which the parser itself
/// only tells with its own errors.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    *reached_ = ++at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

constexpr std::string_view kPythonNumbers[] = {"-Infinity", "Infinity", "NaN"};
// What such a number becomes for the parser: a string that starts with this. No file has it.
constexpr std::string_view kNumberMark =
    "\x7F"
    "inlay number ";

double number_of(std::string_view name) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return name == "NaN"        ? std::numeric_limits<double>::quiet_NaN()
         : name == "Infinity" ? kInfinity
                              : -kInfinity;
}

/// The text with every number of kPythonNumbers outside strings made such a string.
std::string with_marked_numbers(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      out += text[i++];
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string) {
      const auto* name = std::ranges::find_if(
          kPythonNumbers, [&](std::string_view n) { return text.substr(i).starts_with(n); });
      if (name != std::end(kPythonNumbers)) {
        out += str("\"", kNumberMark, *name, "\"");
        i += name->size() - 1;
        continue;
      }
    }
    out += i < text.size() ? text.substr(i, 1) : "";
  }
  return out;
}

/// Builds the document from the parser's events. `open_` holds the arrays and objects begun but not
/// ended; pointers into them stay good, since only the innermost one grows.
template <class Json>
class Builder {
 public:
  Builder(std::string_view text, std::string_view file, const JsonOptions& options)
      : text_(text), file_(file), options_(options), reached_(text.data()) {}

  Json parse() {
    if (text_.empty()) {  // versions of the library put it differently
      fail(0, "nothing is here; expected a value");
    }
    Json::sax_parse(CountingIterator(text_.data(), &reached_),
                    CountingIterator(text_.data() + text_.size(), &reached_), this,
                    Json::input_format_t::json, /*strict=*/true, options_.comments);
    return std::move(root_);
  }

  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(i64 value) { return add(Json(value)); }
  bool number_unsigned(u64 value) { return add(Json(value)); }
  bool number_float(double value, const std::string& /*text*/) { return add(Json(value)); }
  bool string(std::string& value) {
    if (options_.python_numbers && value.starts_with(kNumberMark)) {
      return add(Json(number_of(std::string_view(value).substr(kNumberMark.size()))));
    }
    return add(Json(std::move(value)));
  }
  bool binary(typename Json::binary_t& /*value*/) { return false; }  // JSON text has none
  bool start_object(std::size_t /*size*/) { return start(Json(Json::value_t::object)); }
  bool start_array(std::size_t /*size*/) { return start(Json(Json::value_t::array)); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }

  bool key(std::string& name) {
    count_value();
    if (options_.python_numbers && name.starts_with(kNumberMark)) {
      fail(key_start(), "a number is no key");
    }
    if (!is_new(name)) {
      fail(key_start(), str("key \"", printable(name), "\" is given twice in one object"));
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) {
    // "[json.exception…] parse error at line 1, column 2: syntax error while …": the place is ours.
    std::string_view reason = error.what();
    reason.remove_prefix(std::min(reason.find("] ") + 2, reason.size()));
    if (reason.starts_with("parse error at ")) {
      reason.remove_prefix(reason.find(": ") + 2);
    }
    if (reason.find("UTF-8") != std::string_view::npos) {
      // What was read last is the broken text itself, and a message is UTF-8.
      reason = reason.substr(0, reason.find("; last read"));
    }
    fail(position == 0 ? 0 : position - 1, printable(reason, 200));
    return false;
  }

 private:
  static constexpr bool kOrdered = std::is_same_v<Json, nlohmann::ordered_json>;

  struct Open {
    Json* value;
    std::unordered_set<std::string> keys;  // only where the object itself would have to search
  };

  bool is_new(const std::string& name) {
    Open& object = open_.back();
    if constexpr (kOrdered) {
      return object.keys.insert(name).second;
    } else {
      return !object.value->contains(name);
    }
  }

  Json* place(Json&& value) {
    count_value();
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& object = parent.template get_ref<typename Json::object_t&>();
    if constexpr (kOrdered) {
      // Straight to the end: emplace would look for the key among all that came before.
      object.push_back({std::move(key_), std::move(value)});
      return &object.back().second;
    } else {
      return &object.emplace(std::move(key_), std::move(value)).first->second;
    }
  }
  bool add(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool start(Json&& value) {
    if (static_cast<i64>(open_.size()) >= options_.max_depth) {
      fail(offset() - 1,
           str("arrays and objects are nested more than ", options_.max_depth, " levels deep"));
    }
    open_.push_back({place(std::move(value)), {}});
    return true;
  }
  bool end() {
    open_.pop_back();
    return true;
  }

  void count_value() {
    if (++values_ > options_.max_values) {
      fail(offset() - 1, str("more than ", options_.max_values, " values and keys"));
    }
  }

  std::size_t offset() const { return static_cast<std::size_t>(reached_ - text_.data()); }
  /// Where the key just read begins: back from its closing quote to the quote no backslash escapes.
  std::size_t key_start() const {
    std::size_t at = offset() - 1;
    const auto escaped = [&](std::size_t quote) {
      std::size_t backslashes = 0;
      while (backslashes < quote && text_[quote - 1 - backslashes] == '\\') {
        ++backslashes;
      }
      return backslashes % 2 == 1;
    };
    do {
      at = text_.rfind('"', at - 1);
    } while (escaped(at));
    return at;
  }

  [[noreturn]] void fail(std::size_t position, std::string_view what) const {
    const std::string_view before = text_.substr(0, std::min(position, text_.size()));
    const i64 newlines = std::count(before.begin(), before.end(), '\n');
    const i64 column = before.size() - (before.rfind('\n') + 1);
    throw DataError(str(printable(file_, 300), ": line ", options_.first_line + newlines,
                        ", column ", column + (newlines == 0 ? options_.first_column : 1), ": ",
                        what));
  }

  std::string_view text_;
  std::string_view file_;
  const JsonOptions& options_;
  const char* reached_;
  Json root_;
  std::vector<Open> open_;
  std::string key_;
  i64 values_ = 0;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view file,
                          const JsonOptions& options) {
  if (options.python_numbers && (text.find("NaN") != std::string_view::npos ||
                                 text.find("Infinity") != std::string_view::npos)) {
    const std::string marked = with_marked_numbers(text);
    return Builder<nlohmann::json>(marked, file, options).parse();
  }
  return Builder<nlohmann::json>(text, file, options).parse();
}

nlohmann::json read_json(const std::string& path, const JsonOptions& options) {
  constexpr i64 kMaxBytes = 256 << 20;  // eight times the largest tokenizer
  return parse_json(file_system().read(path, kMaxBytes), path, options);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view file,
                                          const JsonOptions& options) {
  return Builder<nlohmann::ordered_json>(text, file, options).parse();
}

}  // namespace inlay
