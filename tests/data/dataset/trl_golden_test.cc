// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

/// Against what TRL prepared from the same rows (tests/golden/dataset/make_golden.py).
namespace inlay {
namespace {

std::optional<bool> flag(const nlohmann::json& options, const char* name) {
  return options.contains(name) ? std::optional<bool>(options[name]) : std::nullopt;
}

DatasetOptions read_options(const nlohmann::json& json) {
  return {.max_length = json.value("max_length", i64{1024}),
          .truncation = find_choice<Truncation>(json.value("truncation", "keep_start")).value(),
          .completion_only_loss = flag(json, "completion_only_loss"),
          .assistant_only_loss = flag(json, "assistant_only_loss")};
}

TestModel read_model(const nlohmann::json& json) {
  return TestModel({.style = json["style"],
                    .bos = json.value("bos_token", ""),
                    .eos = json.value("eos_token", ""),
                    .added = json.value("added", std::vector<std::string>{})},
                   json.value("template", ""));
}

TEST(TrlGolden, GivesTheSameIdsAndLabels) {
  const auto cases = read_json(INLAY_SOURCE_DIR "/tests/golden/dataset/trl.json");
  ASSERT_FALSE(cases.empty());
  for (const auto& c : cases) {
    std::string rows;
    for (const auto& row : c["rows"]) {
      rows += row.dump() + "\n";
    }
    const std::string what = c["model"].dump() + c["options"].dump();
    const TestModel model = read_model(c["model"]);
    const Dataset dataset = load_text(rows, model.model(), read_options(c["options"]));
    ASSERT_EQ(dataset.examples.size(), c["examples"].size()) << what;
    for (std::size_t i = 0; i < dataset.examples.size(); ++i) {
      const std::string row = what + c["rows"][i].dump();
      EXPECT_EQ(dataset.examples[i].ids, c["examples"][i]["ids"].get<std::vector<i32>>()) << row;
      EXPECT_EQ(dataset.examples[i].labels, c["examples"][i]["labels"].get<std::vector<i32>>())
          << row;
    }
  }
}

}  // namespace
}  // namespace inlay
