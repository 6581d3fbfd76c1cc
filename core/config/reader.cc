// SPDX-License-Identifier: Apache-2.0
#include "core/config/reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/config/help.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Kind = FieldType::Kind;

/// A message stays under two kilobytes: past this many bytes the rest is only counted.
constexpr std::size_t kMaxMessage = 1500;

/// The value as a sentence shows it; what is inside of lists and objects would drown it.
std::string found(const Json& json) {
  if (json.is_array()) {
    return json.empty() ? "an empty list" : "a list";
  }
  if (json.is_object()) {
    return json.empty() ? "an empty object" : "an object";
  }
  if (json.is_string()) {
    return "\"" + printable(json.get_ref<const std::string&>(), 60) + "\"";
  }
  return json.dump();
}

/// As much as can be near a name: the comparison takes time by the length.
std::string_view short_text(std::string_view text) {
  return text.substr(0, 100);
}

std::optional<i64> as_integer(const Json& json) {
  if (json.is_number_unsigned() && json.get<u64>() > static_cast<u64>(INT64_MAX)) {
    return std::nullopt;
  }
  if (json.is_number_integer()) {
    return json.get<i64>();
  }
  // Above 2^53 a double no longer tells one integer from the next.
  constexpr double kExact = 9007199254740992.0;
  // Other programs write 1e3 for 1000; 0.5 stands for what is no number: it is refused below.
  const double value = json.is_number_float() ? json.get<double>() : 0.5;
  if (std::abs(value) > kExact || value != std::floor(value)) {
    return std::nullopt;
  }
  return static_cast<i64>(value);
}

bool is_path(const std::string& text) {
  return !text.empty() && text.find('\0') == std::string::npos;
}

/// Whether `json` is of this type: for lists, maps and unions only that it is one at all.
bool matches(const Json& json, const FieldType& type) {
  switch (type.kind) {
    case Kind::kNull:
      return json.is_null();
    case Kind::kBool:
      return json.is_boolean();
    case Kind::kInteger: {
      const std::optional<i64> value = as_integer(json);
      return value.has_value() && type.integers.contains(*value);
    }
    case Kind::kNumber:
      return json.is_number() && type.numbers.contains(json.get<double>());
    case Kind::kString:
      return json.is_string();
    case Kind::kChoice:
      return json.is_string() && std::find(type.choices.begin(), type.choices.end(),
                                           json.get<std::string>()) != type.choices.end();
    case Kind::kPath:
    case Kind::kPathOrName:
      return json.is_string() && is_path(json.get_ref<const std::string&>());
    case Kind::kList:
      return json.is_array();
    case Kind::kMap:
    case Kind::kObject:
      return json.is_object();
    case Kind::kOneOf:
      return std::any_of(type.parts.begin(), type.parts.end(),
                         [&](const FieldType& part) { return matches(json, part); });
  }
  return false;
}

/// What all readers of one document share.
struct Context {
  const ConfigDocument& document;
  const ReadOptions& options;
  Problems problems;
  std::vector<FieldRow> all_fields;  // of the whole struct, to say where a misplaced key belongs
};

/// One JSON value checked against its type and brought into the form that FieldSlot::set takes:
/// integers as integers, paths resolved. Nothing when it has problems, which are then noted.
class Conform {
 public:
  explicit Conform(Context& context) : context_(context) {}

  std::optional<Json> operator()(const Json& json, const FieldType& type,
                                 const std::string& pointer) {
    if (!matches(json, type)) {
      std::string what = str("expected ", describe(type), ", found ", found(json));
      if (json.is_string()) {
        what += did_you_mean(short_text(json.get_ref<const std::string&>()), choices_of(type));
      }
      context_.problems.add(pointer, what);
      return std::nullopt;
    }
    switch (type.kind) {
      case Kind::kInteger:
        return *as_integer(json);
      case Kind::kPath:
        return resolved_path(json.get<std::string>(), directory(pointer));
      case Kind::kPathOrName:
        return resolved_path_or_name(json.get<std::string>(), directory(pointer));
      case Kind::kList:
        return list(json, type, pointer);
      case Kind::kMap:
        return map(json, type, pointer);
      case Kind::kOneOf:
        return (*this)(json, alternative(json, type), pointer);
      default:
        return json;
    }
  }

 private:
  static const FieldType& alternative(const Json& json, const FieldType& type) {
    return *std::find_if(type.parts.begin(), type.parts.end(),
                         [&](const FieldType& part) { return matches(json, part); });
  }
  std::optional<Json> list(const Json& json, const FieldType& type, const std::string& pointer) {
    Json elements = Json::array();
    for (std::size_t i = 0; i < json.size(); ++i) {
      std::optional<Json> element = (*this)(json[i], type.parts[0], json_pointer(pointer, str(i)));
      if (element.has_value()) {
        elements.push_back(std::move(*element));
      }
    }
    return elements.size() == json.size() ? std::optional<Json>(std::move(elements)) : std::nullopt;
  }
  std::optional<Json> map(const Json& json, const FieldType& type, const std::string& pointer) {
    Json values = Json::object();
    for (const auto& [key, value] : json.items()) {
      std::optional<Json> checked = (*this)(value, type.parts[0], json_pointer(pointer, key));
      if (checked.has_value()) {
        values[key] = std::move(*checked);
      }
    }
    return values.size() == json.size() ? std::optional<Json>(std::move(values)) : std::nullopt;
  }
  const std::string& directory(const std::string& pointer) const {
    return context_.document.origin(pointer).directory;
  }

  Context& context_;
};

bool is_unset(const Json& json) {
  return json.is_null() || json == Json(false) || json == Json("") ||
         (json.is_structured() && json.empty());
}

/// Reads one object; nested objects have readers of their own.
class Reader : public FieldVisitor {
 public:
  Reader(Context& context, const Json& object, std::string pointer)
      : context_(context), object_(object), pointer_(std::move(pointer)) {}

  void refuse_unknown_keys() const {
    using Unknown = ReadOptions::UnknownKeys;
    const Unknown policy = context_.options.unknown_keys;
    for (const auto& [key, value] : object_.items()) {
      const bool known = std::find(keys_.begin(), keys_.end(), key) != keys_.end() ||
                         std::find(passive_.begin(), passive_.end(), key) != passive_.end();
      const bool tolerated =
          policy == Unknown::kIgnore || (policy == Unknown::kRefuseIfSet && is_unset(value));
      if (!known && !tolerated) {
        context_.problems.add(json_pointer(pointer_, key), "unknown key" + suggestion(key));
      }
    }
  }

 protected:
  void on_field(const Field& field) override {
    keys_.emplace_back(field.key);
    if (const Json* json = find(field.key)) {
      const std::string pointer = json_pointer(pointer_, field.key);
      const std::optional<Json> value = Conform(context_)(*json, field.type, pointer);
      if (value.has_value()) {
        field.value.set(*value);
      }
    }
  }

  void on_structs(std::string_view key, const StructSlot& structs,
                  std::string_view /*help*/) override {
    keys_.emplace_back(key);
    const Json* json = find(key);
    if (json == nullptr) {
      return;
    }
    const std::string pointer = json_pointer(pointer_, key);
    if (structs.form() == StructSlot::Form::kMany) {
      read_list(*json, structs, pointer);
    } else if (structs.form() == StructSlot::Form::kOptional && json->is_null()) {
      structs.resize(0);
    } else {
      const bool optional = structs.form() == StructSlot::Form::kOptional;
      read_object(*json, structs, 0, pointer, optional ? "an object or null" : "an object");
    }
  }

  void on_passive(const PassiveKey& key) override {
    passive_.emplace_back(key.key);
    const Json* json = find(key.key);
    if (json == nullptr || key.accepted.empty()) {
      return;
    }
    std::string accepted;
    for (const std::string_view text : key.accepted) {
      if (parse_ordered_json(text, key.key) == *json) {
        return;
      }
      accepted += str(accepted.empty() ? "" : " or ", text);
    }
    context_.problems.add(json_pointer(pointer_, key.key),
                          str("expected ", accepted, ", found ", found(*json), ": ", key.help));
  }

  void on_hint(std::string_view wrong, std::string_view right) override {
    hints_.emplace(wrong, right);
  }

 private:
  const Json* find(std::string_view key) const {
    const auto entry = object_.find(std::string(key));
    return entry == object_.end() ? nullptr : &*entry;
  }

  void read_list(const Json& json, const StructSlot& structs, const std::string& pointer) {
    if (!json.is_array()) {
      context_.problems.add(pointer, str("expected a list of objects, found ", found(json)));
      return;
    }
    // Elements start from their defaults, not from those of an earlier layer.
    structs.resize(0);  // the list replaces what is there
    structs.resize(static_cast<i64>(json.size()));
    for (std::size_t i = 0; i < json.size(); ++i) {
      read_object(json[i], structs, static_cast<i64>(i), json_pointer(pointer, str(i)),
                  "an object");
    }
  }

  void read_object(const Json& json, const StructSlot& structs, i64 index,
                   const std::string& pointer, std::string_view expected) {
    if (!json.is_object()) {
      context_.problems.add(pointer, str("expected ", expected, ", found ", found(json)));
      return;
    }
    if (structs.size() == 0) {
      structs.resize(1);
    }
    Reader reader(context_, json, pointer);
    structs.visit(index, reader);
    reader.refuse_unknown_keys();
  }

  /// The key others use for it, the section that has it, or the nearest key of this object.
  std::string suggestion(const std::string& key) const {
    const auto hint = hints_.find(key);
    if (hint != hints_.end()) {
      return str(" (did you mean \"", hint->second, "\"?)");
    }
    // A key in the wrong section is a likelier slip than a misspelt one.
    for (const FieldRow& row : context_.all_fields) {
      const std::size_t slash = row.pointer.rfind('/');
      if (row.pointer.substr(slash + 1) == key) {
        const std::string section = row.pointer.substr(0, slash);
        return str(" here (it belongs in ", section.empty() ? "the outermost object" : section,
                   ")");
      }
    }
    return did_you_mean(short_text(key), keys_);
  }

  Context& context_;
  const Json& object_;
  std::string pointer_;
  std::vector<std::string> keys_;
  std::vector<std::string> passive_;
  std::map<std::string, std::string> hints_;
};

}  // namespace

void Problems::add(std::string_view pointer, std::string_view what) {
  const std::string& source = document_.origin(pointer).source;
  std::string line = source.empty() ? "" : printable(source, 300) + ": ";
  if (!pointer.empty()) {
    line += printable(pointer, 200) + ": ";
  }
  lines_.push_back(line + std::string(what));
}

void Problems::throw_if_any(bool data_file) const {
  if (lines_.empty()) {
    return;
  }
  std::string message = lines_[0];
  for (std::size_t i = 1; i < lines_.size(); ++i) {
    if (message.size() + lines_[i].size() > kMaxMessage) {
      message += str("\n(and ", lines_.size() - i, " more)");
      break;
    }
    message += "\n" + lines_[i];
  }
  if (data_file) {
    throw DataError(message);
  }
  throw ConfigError(message);
}

void read_fields(const ConfigDocument& document, const Fields& target, const ReadOptions& options) {
  Context context{document, options, Problems(document), field_rows(target)};
  if (!document.json().is_object()) {
    context.problems.add("", str("expected a JSON object, found ", found(document.json())));
  } else {
    Reader reader(context, document.json(), "");
    target.visit(reader);
    reader.refuse_unknown_keys();
  }
  // All problems at once: one mistake rarely comes alone.
  context.problems.throw_if_any(options.data_file);
}

std::string resolved_path(std::string_view text, std::string_view directory) {
  // operator/ gives the second operand alone when that is absolute.
  std::string path = (std::filesystem::path(directory) / text).lexically_normal().string();
  while (path.size() > 1 && path.back() == '/') {
    path.pop_back();
  }
  return path;
}

std::string resolved_path_or_name(std::string_view text, std::string_view directory) {
  const std::string path = resolved_path(text, directory);
  const bool can_only_be_a_path = text.starts_with('/') || text.starts_with("./") ||
                                  text.starts_with("../") || text == "." || text == "..";
  return can_only_be_a_path || exists(path) ? path : std::string(text);
}

}  // namespace inlay
