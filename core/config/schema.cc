// SPDX-License-Identifier: Apache-2.0
#include "core/config/schema.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/json.h"
#include "core/config/writer.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Kind = FieldType::Kind;

template <class T>
Json number_schema(const char* type, const Range<T>& range) {
  Json schema = {{"type", type}};
  if (range.has_min()) {
    schema[range.above_min ? "exclusiveMinimum" : "minimum"] = range.min;
  }
  if (range.has_max()) {
    schema[range.below_max ? "exclusiveMaximum" : "maximum"] = range.max;
  }
  return schema;
}

Json type_schema(const FieldType& type) {
  switch (type.kind) {
    case Kind::kNull:
      return {{"type", "null"}};
    case Kind::kBool:
      return {{"type", "boolean"}};
    case Kind::kInteger:
      return number_schema("integer", type.integers);
    case Kind::kNumber:
      return number_schema("number", type.numbers);
    case Kind::kString:
      return {{"type", "string"}};
    case Kind::kChoice:
      return {{"type", "string"}, {"enum", type.choices}};
    case Kind::kPath:
    case Kind::kPathOrName:
      return {{"type", "string"}, {"minLength", 1}};
    case Kind::kObject:
      return {{"type", "object"}};
    case Kind::kList:
      return {{"type", "array"}, {"items", type_schema(type.parts[0])}};
    case Kind::kMap:
      return {{"type", "object"}, {"additionalProperties", type_schema(type.parts[0])}};
    case Kind::kOneOf:
      break;
  }
  Json alternatives = Json::array();
  for (const FieldType& part : type.parts) {
    alternatives.push_back(type_schema(part));
  }
  return {{"anyOf", std::move(alternatives)}};
}

/// The description before the rest, where a reader of the schema looks first.
Json described(std::string_view help, const Json& rest) {
  Json schema = {{"description", help}};
  schema.update(rest);
  return schema;
}

class SchemaBuilder : public FieldVisitor {
 public:
  static Json object(const Fields& defaults) {
    SchemaBuilder builder;
    defaults.visit(builder);
    return builder.finished();
  }

 protected:
  void on_field(const Field& field) override {
    Json schema = described(field.help, type_schema(field.type));
    schema["default"] = field.value.get();
    properties_[std::string(field.key)] = std::move(schema);
  }

  void on_structs(std::string_view key, const StructSlot& structs, std::string_view help) override {
    SchemaBuilder inside;
    structs.visit_default(inside);
    Json schema = inside.finished();
    switch (structs.form()) {
      case StructSlot::Form::kOne:
        break;
      case StructSlot::Form::kOptional:
        schema = {{"anyOf", {std::move(schema), {{"type", "null"}}}}};
        break;
      case StructSlot::Form::kMany:
        schema = {{"type", "array"}, {"items", std::move(schema)}};
        break;
    }
    properties_[std::string(key)] = described(help, schema);
  }

  void on_passive(const PassiveKey& key) override {
    Json schema = {{"description", key.help}};
    for (const std::string_view text : key.accepted) {
      schema["enum"].push_back(parse_ordered_json(text, key.key));
    }
    properties_[std::string(key.key)] = std::move(schema);
  }

 private:
  Json finished() {
    return {{"type", "object"},
            {"properties", std::move(properties_)},
            {"additionalProperties", false}};
  }

  Json properties_ = Json::object();
};

}  // namespace

std::string fields_schema(const Fields& defaults, std::string_view title,
                          const SchemaOptions& options) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", title}};
  schema.update(SchemaBuilder::object(defaults));
  if (options.extends) {
    // No field of the struct: it is gone when that is read (run_file.h), but editors see the file.
    schema["properties"]["extends"] = {
        {"description", "A config file to inherit from, relative to this one"},
        {"type", "string"},
        {"minLength", 1}};
  }
  return json_text(schema);
}

}  // namespace inlay
