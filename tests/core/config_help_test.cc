// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/config/help.h"
#include "tests/core/config_sample.h"

namespace inlay {
namespace {

const FieldRow& row(const std::vector<FieldRow>& rows, const std::string& pointer) {
  return *std::find_if(rows.begin(), rows.end(),
                       [&](const FieldRow& r) { return r.pointer == pointer; });
}

TEST(ConfigHelp, HasARowForEachFieldInTheOrderOfDeclaration) {
  const std::vector<FieldRow> rows = field_rows<Sample>();
  EXPECT_EQ(rows.front().pointer, "/flag");
  EXPECT_EQ(rows.back().pointer, "/more_layers/*/width");
  // 32 fields of Sample and two of SampleLayer, three times; passive keys have none.
  EXPECT_EQ(rows.size(), 38U);
}

TEST(ConfigHelp, SaysTypeRangeAndDefault) {
  struct Case {
    const char* pointer;
    const char* type;
    const char* default_value;
  };
  const Case cases[] = {
      {"/flag", "true or false", "false"},
      {"/count", "an integer from 1 to 1024", "3"},
      {"/any_integer", "an integer", "0"},
      {"/ratio", "a number from 0 to 1", "0.1"},
      {"/rate", "a number above 0 and below 1", "0.0002"},
      {"/mode", R"("fast" or "slow")", R"("fast")"},
      {"/tokenizer", R"("bytes", a path or null)", "null"},
      {"/names", "a list of strings", R"(["a","b"])"},
      {"/files", "a list of paths", "[]"},
      {"/sizes", "a list of integers of at least 0", "[]"},
      {"/ranks", "an object of integers from 1 to 8", "{}"},
      {"/maybe_names", R"(a list of strings ("x" or "y") or null)", "null"},
      {"/threads", R"("auto" or an integer from 1 to 64)", R"("auto")"},
      {"/init", R"(true, false or "gaussian")", "true"},
      {"/extra", "an object or null", "null"},
      {"/layer", "an object", ""},
      {"/maybe_layer", "an object or null", "null"},
      {"/more_layers", "a list of objects", ""},
      {"/layer/width", "an integer from 1 to 64", "8"},
  };
  const std::vector<FieldRow> rows = field_rows<Sample>();
  for (const Case& c : cases) {
    EXPECT_EQ(row(rows, c.pointer).type, c.type);
    EXPECT_EQ(row(rows, c.pointer).default_value, c.default_value);
  }
  EXPECT_EQ(row(rows, "/count").help, "a count");
}

TEST(ConfigHelp, PrintsAParagraphAFieldWrapped) {
  const std::string longer =
      "word word word word word word word word word word word word word word "
      "word word word word word word";
  const FieldRow rows[] = {{"/peft/r", "an integer", "8", "the rank"}, {"/x", "y", "", longer}};
  EXPECT_EQ(help_text(rows),
            "peft.r = 8   (an integer)\n"
            "    the rank\n"
            "x   (y)\n"
            "    word word word word word word word word word word word word word word word word "
            "word\n"
            "    word word word\n");
}

}  // namespace
}  // namespace inlay
