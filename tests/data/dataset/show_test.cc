// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/show.h"

#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

namespace inlay {
namespace {

const Tokenizer& tokenizer() {
  static const Tokenizer loaded = TestTokenizer().load();
  return loaded;
}

/// The second line of show_example.
std::string tokens_of(const Example& example, const Tokenizer* shown_by,
                      const ShowOptions& options = {}) {
  const std::string shown = show_example(example, shown_by, options);
  const std::size_t second = shown.find('\n') + 1;
  EXPECT_EQ(shown.back(), '\n');
  return shown.substr(second, shown.size() - second - 1);
}

Example encoded(const std::string& text) {
  Example example;
  example.ids = tokenizer().encode(text);
  example.labels.assign(example.ids.size(), kIgnoreLabel);
  return example;
}

TEST(Show, MarksWhatIsTrainedOn) {
  const Dataset dataset =
      load_text("\n{\"prompt\": \"a b:\", \"completion\": \" c\\n\"}", {.tokenizer = &tokenizer()});
  EXPECT_EQ(show_example(dataset.examples[0], &tokenizer()),
            "line 2: 6 tokens, 3 trained\na│ b│:« c│\\n│<|im_end|>»\n");
}

TEST(Show, NeverMarksTheFirstToken) {
  Example example{{3, 4, 5, 6}, {3, 4, kIgnoreLabel, 6}, 1};
  EXPECT_EQ(tokens_of(example, &tokenizer()), "!«\"»#«$»");
  EXPECT_EQ(tokens_of(example, nullptr), "3«4»5«6»");
  example = {{3}, {3}, 1};
  EXPECT_EQ(show_example(example, &tokenizer()), "line 1: 1 token, 0 trained\n!\n");
}

TEST(Show, ColoursInsteadOfMarksOnATerminal) {
  const Example example{{3, 4, 2, 2}, {kIgnoreLabel, kIgnoreLabel, kIgnoreLabel, 2}, 1};
  const std::string border = "\x1b[2m│\x1b[0m";
  EXPECT_EQ(tokens_of(example, &tokenizer(), {.colour = true}),
            "!" + border + "\"" + border + "\x1b[1m<|im_end|>\x1b[0m" + border +
                "\x1b[32m\x1b[1m<|im_end|>\x1b[0m");
}

TEST(Show, TellsControlTokensFromTheirText) {
  EXPECT_EQ(tokens_of(encoded("<|im_end|>"), &tokenizer()), "<|im_end|>");
  Example plain;
  plain.ids = tokenizer().encode("<|im_end|>", {.parse_special = false});
  plain.labels.assign(plain.ids.size(), kIgnoreLabel);
  EXPECT_NE(tokens_of(plain, &tokenizer()).find("│"), std::string::npos);
}

TEST(Show, EscapesWhatWouldNotShow) {
  const Tokenizer bytes = byte_tokenizer();
  const struct {
    std::string text;
    std::string shown;
  } cases[] = {
      {"\n", "\\n"},
      {"\r", "\\r"},
      {"\t", "\\t"},
      {"\x1b", "\\u001b"},
      {std::string(1, '\0'), "\\u0000"},
      {"\x7f", "\\u007f"},
      {"\\", "\\\\"},
      {"\u009b", "·│\\u009b"},
      {"\u202e", "·│·│\\u202e"},
      {"│", "·│·│\\│"},
      {"«", "·│\\«"},
      {"»", "·│\\»"},
      {"·", "·│\\·"},
      {"→", "·│·│\\→"},
      {"é", "·│é"},
      {"🙂", "·│·│·│🙂"},
      {"é\n", "·│é│\\n"},
  };
  for (const auto& c : cases) {
    Example example;
    example.ids = bytes.encode(c.text);
    example.labels.assign(example.ids.size(), kIgnoreLabel);
    EXPECT_EQ(tokens_of(example, &bytes), c.shown) << c.shown;
  }
}

TEST(Show, ShowsCharactersThatAreCutOff) {
  const Tokenizer bytes = byte_tokenizer();
  const Example at_end{{'a', 0xE2, 0x82}, {-100, -100, -100}, 1};
  EXPECT_EQ(tokens_of(at_end, &bytes), "a│·│\uFFFD");
  const Example inside{{0xE2, 'a'}, {-100, -100}, 1};
  EXPECT_EQ(tokens_of(inside, &bytes), "·│\uFFFDa");
}

TEST(Show, ShowsIdsWithoutATokenAndLabelsThatDiffer) {
  const Example example{{3, 5000, 4}, {kIgnoreLabel, 5000, 6}, 1};
  EXPECT_EQ(tokens_of(example, &tokenizer()), "!«5000│\"→$»");
  EXPECT_EQ(tokens_of(example, nullptr), "3«5000│4→6»");
}

TEST(Show, CountsWhatWasCutOff) {
  const Example example{{3, 4}, {3, 4}, 9};
  EXPECT_EQ(show_example(example, nullptr, {.length = 30}),
            "line 9: 2 tokens of 30, 1 trained\n3«4»\n");
}

TEST(Show, HasAFormForPrograms) {
  const Example example{{3, 2}, {kIgnoreLabel, 2}, 9};
  EXPECT_EQ(example_json(example, &tokenizer(), {.length = 5}),
            R"({"line":9,"length":5,"ids":[3,2],"labels":[-100,2],"pieces":["!","<|im_end|>"]})");
  EXPECT_EQ(example_json(example, nullptr),
            R"({"line":9,"length":2,"ids":[3,2],"labels":[-100,2]})");
}

}  // namespace
}  // namespace inlay
