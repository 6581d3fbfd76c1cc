// SPDX-License-Identifier: Apache-2.0
#include "core/config/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "core/io/atomic.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string error_of(const std::string& text, const JsonOptions& options = {}) {
  return error_text<DataError>([&] { parse_json(text, "a.json", options); });
}

TEST(Json, ReadsWhatTheTextSays) {
  const auto json = parse_json(R"({"b": [1, -2, 3.5, 18446744073709551615], "a": {"": null},
                                  "s": "\u00e9\n", "t": true})",
                               "a.json");
  EXPECT_EQ(json["b"][0].get<i64>(), 1);
  EXPECT_EQ(json["b"][1].get<i64>(), -2);
  EXPECT_EQ(json["b"][2].get<double>(), 3.5);
  EXPECT_EQ(json["b"][3].get<u64>(), 18446744073709551615U);
  EXPECT_TRUE(json["a"][""].is_null());
  EXPECT_EQ(json["s"].get<std::string>(), "\u00e9\n");
  EXPECT_TRUE(json["t"].get<bool>());
  EXPECT_EQ(parse_json("3", "a.json").get<i64>(), 3);
}

TEST(Json, KeepsTheOrderOfTheFileWhereAsked) {
  const std::string text = R"({"z":1,"a":{"y":2,"b":[{"x":3}]}})";
  EXPECT_EQ(parse_ordered_json(text, "a.json").dump(), text);
  EXPECT_EQ(parse_json(text, "a.json").dump(), R"({"a":{"b":[{"x":3}],"y":2},"z":1})");
}

TEST(Json, SkipsCommentsOnlyWhereAllowed) {
  const std::string text = "{ // a rank\n \"r\": /* small */ 8 }";
  EXPECT_EQ(parse_json(text, "a.json", {.comments = true})["r"].get<i64>(), 8);
  EXPECT_EQ(error_of(text).substr(0, 25), "a.json: line 1, column 3:");
}

TEST(Json, TakesPythonsNumbersOnlyWhereAllowed) {
  const JsonOptions python = {.python_numbers = true};
  const auto json = parse_json(
      R"({"a": NaN, "b": [Infinity, -Infinity, 1], "NaN": "Infinity \" NaN", "c": "\\"})", "a.json",
      python);
  EXPECT_TRUE(std::isnan(json["a"].get<double>()));
  EXPECT_EQ(json["b"][0].get<double>(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["b"][1].get<double>(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["b"][2].get<i64>(), 1);
  EXPECT_EQ(json["NaN"].get<std::string>(), "Infinity \" NaN");
  EXPECT_EQ(json["c"].get<std::string>(), "\\");
  for (const char* text : {R"({"a": NaN})", R"([-Infinity])"}) {
    EXPECT_NE(error_of(text), "no error") << text;
    EXPECT_EQ(error_of(text, python), "no error") << text;
  }
  for (const char* text : {R"({"a": NaNa})", R"({NaN: 1})", R"({"a": "NaN)", R"([Inf])"}) {
    EXPECT_NE(error_of(text, python), "no error") << text;
  }
}

TEST(Json, RefusesBrokenTextWithFileLineAndColumn) {
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"", "a.json: line 1, column 1: nothing is here; expected a value"},
      {"{\n  \"a\": 1,\n  x\n}",
       "a.json: line 3, column 3: syntax error while parsing object key - invalid literal; last "
       "read: '1,<U+000A>  x'; expected string literal"},
      {"{} {}",
       "a.json: line 1, column 4: syntax error while parsing value - unexpected '{'; "
       "expected end of input"},
      {"[1e999]", "a.json: line 1, column 6: number overflow parsing '1e999'"},
      {"[\"a\xff\"]",
       "a.json: line 1, column 4: syntax error while parsing value - invalid "
       "string: ill-formed UTF-8 byte"},
      {"[1,]",
       "a.json: line 1, column 4: syntax error while parsing value - unexpected ']'; "
       "expected '[', '{', or a literal"},
      {"{\"a\\\"b\": 1,\n \"a\\\"b\": 2}",
       "a.json: line 2, column 2: key \"a\"b\" is given twice in one object"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(error_of(c.text), c.error) << c.text;
  }
}

TEST(Json, CountsFromWhereThePartOfAFileBegins) {
  const JsonOptions part = {.first_line = 7, .first_column = 11};
  EXPECT_EQ(error_of("[}", part).substr(0, 27), "a.json: line 7, column 12: ");
  EXPECT_EQ(error_of("[\n }", part).substr(0, 26), "a.json: line 8, column 2: ");
}

TEST(Json, AllowsOneKeyInTwoObjects) {
  EXPECT_EQ(error_of(R"({"a": {"a": {}}, "b": [{"a": 1}, {"a": 1}]})"), "no error");
}

TEST(Json, BoundsDepthAndNumberOfValues) {
  EXPECT_EQ(error_of("[[[]]]", {.max_depth = 3}), "no error");
  EXPECT_EQ(error_of("[[[[]]]]", {.max_depth = 3}),
            "a.json: line 1, column 4: arrays and objects are nested more than 3 levels deep");
  EXPECT_EQ(error_of(R"({"a": 1})", {.max_values = 3}), "no error");
  EXPECT_EQ(error_of(R"({"a": ["b"]})", {.max_values = 3}),
            "a.json: line 1, column 10: more than 3 values and keys");
  // A million brackets end at the cap, not in the stack.
  EXPECT_EQ(error_of(std::string(1'000'000, '[')),
            "a.json: line 1, column 65: arrays and objects are nested more than 64 levels deep");
}

TEST(Json, ReadsFiles) {
  const TempDirectory temp;
  write_file(temp.file("a.json"), R"({"r": 8})");
  EXPECT_EQ(read_json(temp.file("a.json"))["r"].get<i64>(), 8);
  EXPECT_THROW(read_json(temp.file("none.json")), IoError);
}

TEST(Json, KeepsMessagesShortAndFreeOfControlCharacters) {
  const std::string error = error_of("{\"" + std::string(100'000, 'k') + "\x01\"}");
  EXPECT_LT(error.size(), 500U);
  EXPECT_EQ(error.find('\x01'), std::string::npos);
}

}  // namespace
}  // namespace inlay
