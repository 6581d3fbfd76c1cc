// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

/// Against what Transformers gives for the same rows (tests/golden/dataset/make_conversations.py):
/// conversations that begin with the assistant, messages with weights, and texts and messages that
/// spell out control tokens which are to be read as such.
namespace inlay {
namespace {

TEST(ConversationsGolden, GivesTheSameIdsAndLabels) {
  const auto cases = read_json(INLAY_SOURCE_DIR "/tests/golden/dataset/conversations.json");
  ASSERT_FALSE(cases.empty());
  for (const auto& c : cases) {
    const auto& parts = c["model"];
    TestModel model({.style = parts["style"],
                     .bos = parts.value("bos_token", ""),
                     .eos = parts.value("eos_token", ""),
                     .added = parts.value("added", std::vector<std::string>{})});
    if (const std::string text = c["template"]; !text.empty()) {
      model.chat = ChatTemplate::from_text(text,
                                           {{"bos_token", parts.value("bos_token", "")},
                                            {"eos_token", parts.value("eos_token", "")}},
                                           "golden.jinja");
    }
    const DatasetOptions options = {
        .parse_special_tokens = c["options"].value("special_tokens_in_text", "") == "parse"};
    const std::string what = c["row"].dump() + "\n" + c["template"].dump();
    ASSERT_EQ(load_error(c["row"].dump(), model.model(), options), "") << what;
    const Dataset dataset = load_text(c["row"].dump(), model.model(), options);
    ASSERT_EQ(dataset.examples.size(), 1U) << what;
    EXPECT_EQ(dataset.examples[0].ids, c["ids"].get<std::vector<i32>>()) << what;
    EXPECT_EQ(dataset.examples[0].labels, c["labels"].get<std::vector<i32>>()) << what;
  }
}

}  // namespace
}  // namespace inlay
