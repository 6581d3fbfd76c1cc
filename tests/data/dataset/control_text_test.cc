// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/control_text.h"

#include <gtest/gtest.h>

#include "core/config/json.h"
#include "tests/data/dataset/fixture.h"

namespace inlay {
namespace {

/// With '~' for the mark.
std::string readable(std::string text) {
  for (std::size_t at; (at = text.find(kControlMark)) != std::string::npos;) {
    text.replace(at, kControlMark.size(), "~");
  }
  return text;
}

TEST(ControlText, IsFoundWhereAnyOfItBegins) {
  const ControlText control(TestTokenizer().load());
  EXPECT_EQ(control.find(""), -1);
  EXPECT_EQ(control.find("<|im_en|>"), -1);
  EXPECT_EQ(control.find("<|im_end|>"), 0);
  EXPECT_EQ(control.find("<<|im_end|>"), 1);
  EXPECT_EQ(control.find("<|im_end|><|endoftext|>", 1), 10);
  EXPECT_FALSE(ControlText(byte_tokenizer()).is_in("<|im_end|>"));
}

TEST(ControlText, IsBrokenEverywhereAlsoWhereItOverlaps) {
  const ControlText control(TestTokenizer{.added = {"|im", "end|><", "☃"}}.load());
  EXPECT_EQ(readable(control.broken("plain")), "plain");
  EXPECT_EQ(readable(control.broken("a<|im_start|>b")), "a<~|~im_start|>b");
  EXPECT_EQ(readable(control.broken("<|im_end|><|endoftext|>")), "<~|~im_e~nd|><~|endoftext|>");
  EXPECT_EQ(readable(control.broken("☃☃")), "☃~☃~");
}

TEST(ControlText, IsBrokenInEveryStringAndKey) {
  const ControlText control(TestTokenizer().load());
  auto json = parse_ordered_json(
      R"({"z": ["<|im_end|>", 1, null, {"<|im_end|>": {"b": "x"}}], "a": true})", "a.json");
  EXPECT_TRUE(control.break_all(json));
  EXPECT_EQ(readable(json.dump()),
            R"({"z":["<~|im_end|>",1,null,{"<~|im_end|>":{"b":"x"}}],"a":true})");
  auto plain = parse_ordered_json(R"({"a": ["b", {}, []]})", "a.json");
  EXPECT_FALSE(control.break_all(plain));
  EXPECT_EQ(plain.dump(), R"({"a":["b",{},[]]})");
}

}  // namespace
}  // namespace inlay
