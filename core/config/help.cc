// SPDX-License-Identifier: Apache-2.0
#include "core/config/help.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

namespace inlay {
namespace {

class RowLister : public FieldVisitor {
 public:
  RowLister(std::string pointer, std::vector<FieldRow>& rows)
      : pointer_(std::move(pointer)), rows_(rows) {}

 protected:
  void on_field(const Field& field) override {
    rows_.push_back({json_pointer(pointer_, field.key), describe(field.type),
                     field.value.get().dump(), std::string(field.help)});
  }

  void on_structs(std::string_view key, const StructSlot& structs, std::string_view help) override {
    using Form = StructSlot::Form;
    const std::string pointer = json_pointer(pointer_, key);
    const bool present = structs.size() > 0;
    switch (structs.form()) {
      case Form::kOne:
        rows_.push_back({pointer, "an object", "", std::string(help)});
        break;
      case Form::kOptional:
        rows_.push_back({pointer, "an object or null", present ? "" : "null", std::string(help)});
        break;
      case Form::kMany:
        rows_.push_back({pointer, "a list of objects", "", std::string(help)});
        break;
    }
    RowLister inside(structs.form() == Form::kMany ? pointer + "/*" : pointer, rows_);
    structs.visit_default(inside);
  }

 private:
  std::string pointer_;
  std::vector<FieldRow>& rows_;
};

constexpr std::size_t kHelpWidth = 92;

/// `text` in lines of kHelpWidth columns, each after `indent` spaces.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::istringstream words(text);
  std::string out;
  std::string line(indent, ' ');
  for (std::string word; words >> word;) {
    if (line.size() > indent && line.size() + 1 + word.size() > kHelpWidth) {
      out += line + "\n";
      line.assign(indent, ' ');
    }
    line += (line.size() > indent ? " " : "") + word;
  }
  return out + line + "\n";
}

}  // namespace

std::vector<FieldRow> field_rows(const Fields& defaults) {
  std::vector<FieldRow> rows;
  RowLister lister("", rows);
  defaults.visit(lister);
  return rows;
}

std::string dotted_key(const std::string& pointer) {
  std::string key = pointer.substr(pointer.empty() ? 0 : 1);
  for (char& c : key) {
    c = c == '/' ? '.' : c;
  }
  return key;
}

std::string help_text(std::span<const FieldRow> rows) {
  std::string text;
  for (const FieldRow& row : rows) {
    text += dotted_key(row.pointer);
    text += row.default_value.empty() ? "" : " = " + row.default_value;
    text += "   (" + row.type + ")\n" + wrapped(row.help, 4);
  }
  return text;
}

}  // namespace inlay
