// SPDX-License-Identifier: Apache-2.0
#include "data/template/text_forms.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "data/template/characters.h"

namespace inlay::jinja {
namespace {

std::string hex(char32_t value, const char* prefix, int digits) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, "%s%0*x", prefix, digits, static_cast<unsigned>(value));
  return buffer;
}

/// One character between the quotes of repr().
void append_repr_character(std::string& out, char32_t c, char quote) {
  if (c == static_cast<unsigned char>(quote) || c == '\\') {
    out += '\\';
    append_code_point(out, c);
  } else if (c == '\n' || c == '\r' || c == '\t') {
    out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
  } else if (is_printable(c)) {
    append_code_point(out, c);
  } else {
    out += c <= 0xFF ? hex(c, "\\x", 2) : c <= 0xFFFF ? hex(c, "\\u", 4) : hex(c, "\\U", 8);
  }
}

void append_string_repr(std::string& out, const std::string& text) {
  const bool has_single = text.find('\'') != std::string::npos;
  const bool has_double = text.find('"') != std::string::npos;
  // Python's choice: the quote that needs no backslash, the single one where both or neither would.
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    append_repr_character(out, next_code_point(text, at), quote);
  }
  out += quote;
}

void append_sequence_repr(Runtime& runtime, std::string& out, const Sequence& sequence) {
  const bool tuple = sequence.kind == SequenceKind::kTuple;
  out += tuple ? "(" : "[";
  for (std::size_t i = 0; i < sequence.items.size(); ++i) {
    out += i == 0 ? "" : ", ";
    append_repr(runtime, out, sequence.items[i]);
  }
  out += tuple && sequence.items.size() == 1 ? ",)" : tuple ? ")" : "]";
}

void append_dict_repr(Runtime& runtime, std::string& out, const Dict& dict) {
  out += '{';
  const char* separator = "";
  for (const auto& [key, value] : dict.entries()) {
    out += separator;
    append_repr(runtime, out, key);
    out += ": ";
    append_repr(runtime, out, value);
    separator = ", ";
  }
  out += '}';
}

/// json.dumps, one value at a time.
class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style) {}

  void write(const Value& value) {
    runtime_.charge(1);
    runtime_.check_text(out_.size());
    switch (value.kind()) {
      case Kind::kString:
        return write_string(value.as_string());
      case Kind::kSequence:
        return write_sequence(value);
      case Kind::kDict:
        return write_dict(value.as_dict());
      default:
        out_ += scalar(value);
    }
  }
  std::string take() { return std::move(out_); }

 private:
  std::string scalar(const Value& value) const {
    switch (value.kind()) {
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return value.as_bool() ? "true" : "false";
      case Kind::kInt:
        return std::to_string(value.as_int());
      case Kind::kFloat:
        return float_json(value.as_float());
      default:
        runtime_.fail(value.is(Kind::kUndefined)
                          ? str("tojson: ", value.why_undefined())
                          : str("tojson: ", value.type_name(), " has no JSON form"));
    }
  }

  static std::string float_json(double value) {
    if (std::isnan(value)) {
      return "NaN";
    }
    return std::isinf(value) ? (value < 0 ? "-Infinity" : "Infinity") : float_text(value);
  }

  void write_escaped(char32_t c) {
    static constexpr std::string_view kPlain = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kLetters = "\"\\nrtfb";
    const auto found = c < 0x80 ? kPlain.find(static_cast<char>(c)) : std::string_view::npos;
    if (found != std::string_view::npos) {
      out_ += '\\';
      out_ += kLetters[found];
    } else if (c > 0xFFFF) {  // only with ensure_ascii
      out_ += hex(0xD800 + ((c - 0x10000) >> 10), "\\u", 4);
      out_ += hex(0xDC00 + ((c - 0x10000) & 0x3FF), "\\u", 4);
    } else {
      out_ += hex(c, "\\u", 4);
    }
  }

  void write_string(const std::string& text) {
    runtime_.charge_text(text.size());
    out_ += '"';
    for (std::size_t at = 0; at < text.size();) {
      const char32_t c = next_code_point(text, at);
      if (c < 0x20 || c == '"' || c == '\\' || (c > 0x7E && style_.ensure_ascii)) {
        write_escaped(c);
      } else {
        append_code_point(out_, c);
      }
    }
    out_ += '"';
  }

  void new_line() {
    if (style_.indent.has_value()) {
      out_ += '\n';
      for (int i = 0; i < level_; ++i) {
        out_ += *style_.indent;
      }
    }
  }

  void write_sequence(const Value& value) {
    const SequenceKind kind = value.as_sequence().kind;
    if (kind != SequenceKind::kList && kind != SequenceKind::kTuple) {
      runtime_.fail(str("tojson: ", value.type_name(), " has no JSON form; add |list before it"));
    }
    if (value.items().empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    ++level_;
    for (std::size_t i = 0; i < value.items().size(); ++i) {
      out_ += i == 0 ? "" : style_.item_separator;
      new_line();
      write(value.items()[i]);
    }
    --level_;
    new_line();
    out_ += ']';
  }

  void write_dict(const Dict& dict) {
    if (dict.empty()) {
      out_ += "{}";
      return;
    }
    out_ += '{';
    ++level_;
    bool first = true;
    for (const Dict::Entry* entry : ordered(dict)) {
      out_ += first ? "" : style_.item_separator;
      first = false;
      new_line();
      write_string(entry->first.is(Kind::kString) ? entry->first.as_string()
                                                  : scalar(entry->first));
      out_ += style_.key_separator;
      write(entry->second);
    }
    --level_;
    new_line();
    out_ += '}';
  }

  std::vector<const Dict::Entry*> ordered(const Dict& dict) const {
    std::vector<const Dict::Entry*> entries;
    for (const Dict::Entry& entry : dict.entries()) {
      entries.push_back(&entry);
      if (style_.sort_keys && !entry.first.is(Kind::kString)) {
        runtime_.fail("tojson: sort_keys needs keys that are strings");
      }
    }
    if (style_.sort_keys) {
      std::sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
        return a->first.as_string() < b->first.as_string();
      });
    }
    return entries;
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string out_;
  int level_ = 0;
};

}  // namespace

std::string ascii_escaped(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c < 0x80) {
      out += static_cast<char>(c);
    } else {
      out += c <= 0xFF ? hex(c, "\\x", 2) : c <= 0xFFFF ? hex(c, "\\u", 4) : hex(c, "\\U", 8);
    }
  }
  return out;
}

std::string float_text(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-inf" : "inf";
  }
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::string sign = text.front() == '-' ? "-" : "";
  text.remove_prefix(sign.size());
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::size_t plus = text[e + 1] == '+' ? 1 : 0;  // which from_chars does not take
  std::from_chars(text.data() + e + 1 + plus, end.ptr, exponent);
  std::string digits(1, text[0]);
  if (e > 1) {
    digits += text.substr(2, e - 2);
  }
  // Python turns to the scientific form below 1e-4 and from 1e16 on.
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction = digits.size() > 1 ? "." + digits.substr(1) : "";
    const std::string power = std::to_string(exponent < 0 ? -exponent : exponent);
    return sign + digits[0] + fraction + (exponent < 0 ? "e-" : "e+") +
           (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  }
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string to_text(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kString)) {
    runtime.charge_text(value.as_string().size());
    return value.as_string();
  }
  if (value.is(Kind::kUndefined)) {
    return "";
  }
  std::string out;
  append_repr(runtime, out, value);
  return out;
}

void append_repr(Runtime& runtime, std::string& out, const Value& value) {
  runtime.charge(1);
  runtime.check_text(out.size());
  switch (value.kind()) {
    case Kind::kUndefined:
      out += "Undefined";
      return;
    case Kind::kNone:
      out += "None";
      return;
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      return;
    case Kind::kInt:
      out += std::to_string(value.as_int());
      return;
    case Kind::kFloat:
      out += float_text(value.as_float());
      return;
    case Kind::kString:
      runtime.charge_text(value.as_string().size());
      out += value.is_markup() ? "Markup(" : "";
      append_string_repr(out, value.as_string());
      out += value.is_markup() ? ")" : "";
      return;
    case Kind::kDict:
      return append_dict_repr(runtime, out, value.as_dict());
    case Kind::kSequence:
      if (value.is(SequenceKind::kList) || value.is(SequenceKind::kTuple)) {
        return append_sequence_repr(runtime, out, value.as_sequence());
      }
      runtime.fail(str(value.type_name(), " cannot be printed; add |list before it"));
    default:
      runtime.fail(str(value.type_name(), " cannot be printed"));
  }
}

std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value);
  return writer.take();
}

}  // namespace inlay::jinja
