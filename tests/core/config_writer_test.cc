// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "core/config/writer.h"
#include "core/error.h"
#include "tests/core/config_sample.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

const char* const kFull = R"({
  "flag": true,
  "count": 7,
  "any_integer": -9007199254740993,
  "ratio": 0.3,
  "rate": 0.00012345678901234567,
  "text": "tab\tä",
  "mode": "slow",
  "file": "/d/x",
  "model": "org/other",
  "tokenizer": "bytes",
  "names": [],
  "sizes": [3],
  "weights": [0.1, -1e300],
  "files": ["/f"],
  "ranks": {"z": 2, "a": 1},
  "scales": {"s": 0.5},
  "labels": {"l": "m"},
  "maybe_flag": false,
  "maybe_count": 2,
  "maybe_rate": 0.7,
  "maybe_text": "t",
  "maybe_names": ["x"],
  "layers": [1, 2],
  "threads": 5,
  "temperature": 0.9,
  "targets": ["q", "v"],
  "excluded": "k",
  "init": "gaussian",
  "extra": {"b": 1, "a": [null]},
  "layer": {"name": "in", "width": 1},
  "maybe_layer": {"name": "out", "width": 2},
  "more_layers": [{"name": "m", "width": 3}]
})";

TEST(ConfigWriter, WritesBackEveryFieldInTheOrderOfDeclaration) {
  const std::string written = config_text(read_sample(kFull));
  EXPECT_EQ(written, json_text(parse_ordered_json(kFull, "full")));
}

TEST(ConfigWriter, WritesDefaultsThatReadBackAsTheyAre) {
  const std::string defaults = config_text(Sample());
  EXPECT_NE(defaults.find("\"maybe_layer\": null"), std::string::npos);
  EXPECT_NE(defaults.find("\"threads\": \"auto\""), std::string::npos);
  const ConfigDocument document =
      ConfigDocument::single(parse_ordered_json(defaults, "defaults"), {"d.json", ""});
  EXPECT_EQ(config_text(read_config<Sample>(document)), defaults);
}

TEST(ConfigWriter, WritesFloatsShortAndExactly) {
  // A float, a double with all its digits, the smallest and the largest.
  for (const double rate : {0.1, 1.0 / 3.0, 5e-324, 1e-8, 0.9999999999999999}) {
    Sample sample;
    sample.rate = rate;
    EXPECT_EQ(read_sample(config_text(sample)).rate, rate);
  }
  for (const float ratio : {0.1F, 1.0F / 3.0F, 1e-45F, 0.99999994F}) {
    Sample sample;
    sample.ratio = ratio;
    EXPECT_EQ(read_sample(config_text(sample)).ratio, ratio);
  }
  Sample sample;
  sample.ratio = 0.1F;
  EXPECT_NE(config_text(sample).find("\"ratio\": 0.1,"), std::string::npos);
}

TEST(ConfigWriter, WritesPathsAsTheDirectoryOfTheFileSeesThem) {
  const TempDirectory directory;
  std::ofstream(directory.file("m.gguf")) << "x";
  Sample sample;
  sample.file = "data/x.txt";
  sample.files = {"runs/a/y", "/abs"};
  sample.model = "org/name";
  sample.tokenizer = "bytes";
  const auto json = write_fields(Fields(sample), {.directory = "runs/a"});
  EXPECT_EQ(json["file"], "../../data/x.txt");
  EXPECT_EQ(json["files"], (std::vector<std::string>{"y", "/abs"}));
  EXPECT_EQ(json["model"], "org/name");
  EXPECT_EQ(json["tokenizer"], "bytes");
  // Reading it there gives the paths we started with.
  const ConfigDocument there = ConfigDocument::single(json, {"runs/a/c.json", "runs/a"});
  EXPECT_EQ(config_text(read_config<Sample>(there)), config_text(sample));
}

TEST(ConfigWriter, RefusesAPathThatJsonCannotHold) {
  Sample sample;
  sample.file = "a\xff";
  try {
    config_text(sample);
    FAIL() << "written";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "a path that is not UTF-8 cannot be written to a JSON file");
  }
}

}  // namespace
}  // namespace inlay
