// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/config/schema.h"
#include "tests/core/config_sample.h"

namespace inlay {
namespace {

nlohmann::ordered_json sample_schema() {
  return parse_ordered_json(config_schema<Sample>("Sample", {.extends = true}), "schema");
}

TEST(ConfigSchema, IsDraft202012AndClosed) {
  const auto schema = sample_schema();
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["title"], "Sample");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["layer"]["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["more_layers"]["items"]["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["extends"]["type"], "string");
}

TEST(ConfigSchema, SaysOfEachFieldWhatTheReaderChecks) {
  struct Case {
    const char* key;
    const char* schema;
  };
  const Case cases[] = {
      {"flag", R"({"description":"a switch","type":"boolean","default":false})"},
      {"count",
       R"({"description":"a count","type":"integer","minimum":1,"maximum":1024,"default":3})"},
      {"any_integer",
       R"({"description":"an integer without a range","type":"integer","default":0})"},
      {"rate", R"({"description":"a rate","type":"number","exclusiveMinimum":0.0,)"
               R"("exclusiveMaximum":1.0,"default":0.0002})"},
      {"mode", R"({"description":"a mode","type":"string","enum":["fast","slow"],)"
               R"("default":"fast"})"},
      {"file", R"({"description":"a file","type":"string","minLength":1,"default":"data.txt"})"},
      {"sizes", R"({"description":"sizes","type":"array","items":{"type":"integer","minimum":0},)"
                R"("default":[]})"},
      {"ranks", R"({"description":"ranks","type":"object","additionalProperties":)"
                R"({"type":"integer","minimum":1,"maximum":8},"default":{}})"},
      {"threads", R"({"description":"threads","anyOf":[{"type":"string","enum":["auto"]},)"
                  R"({"type":"integer","minimum":1,"maximum":64}],"default":"auto"})"},
      {"maybe_text", R"({"description":"a text or nothing","anyOf":[{"type":"string"},)"
                     R"({"type":"null"}],"default":null})"},
      {"extra", R"({"description":"anything","anyOf":[{"type":"object"},{"type":"null"}],)"
                R"("default":null})"},
      {"comment", R"({"description":"for humans"})"},
      {"turbo", R"({"description":"turbo is not supported","enum":[false,null]})"},
  };
  const auto schema = sample_schema();
  for (const Case& c : cases) {
    EXPECT_EQ(schema["properties"][c.key].dump(), c.schema);
  }
  EXPECT_EQ(schema["properties"]["maybe_layer"]["anyOf"][1].dump(), R"({"type":"null"})");
  EXPECT_EQ(schema["properties"]["maybe_layer"]["anyOf"][0]["properties"]["width"]["maximum"], 64);
}

}  // namespace
}  // namespace inlay
