// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>

#include "core/config/reader.h"
#include "core/error.h"
#include "tests/core/config_sample.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using Strings = std::vector<std::string>;

std::string error_of(std::string_view text, const ReadOptions& options = {}) {
  try {
    read_sample(text, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ConfigReader, LeavesTheDefaultsWhereTheObjectIsSilent) {
  const Sample sample = read_sample("{}");
  EXPECT_EQ(sample.count, 3);
  EXPECT_EQ(sample.mode, "fast");
  EXPECT_EQ(sample.names, (Strings{"a", "b"}));
  EXPECT_TRUE(sample.threads.is_auto());
  EXPECT_FALSE(sample.maybe_layer.has_value());
}

TEST(ConfigReader, ReadsScalars) {
  const Sample sample = read_sample(
      R"({"flag": true, "count": 7, "any_integer": -9223372036854775808, "ratio": 0.25,
          "rate": 1e-4, "text": "", "mode": "slow"})");
  EXPECT_TRUE(sample.flag);
  EXPECT_EQ(sample.count, 7);
  EXPECT_EQ(sample.any_integer, std::numeric_limits<i64>::min());
  EXPECT_EQ(sample.ratio, 0.25F);
  EXPECT_EQ(sample.rate, 1e-4);
  EXPECT_EQ(sample.text, "");
  EXPECT_EQ(sample.mode, "slow");
}

TEST(ConfigReader, TakesIntegralNumbersAsIntegersAndIntegersAsNumbers) {
  EXPECT_EQ(read_sample(R"({"count": 3.0})").count, 3);
  EXPECT_EQ(read_sample(R"({"count": 1e3})").count, 1000);
  EXPECT_EQ(read_sample(R"({"any_integer": 9223372036854775807})").any_integer,
            std::numeric_limits<i64>::max());
  EXPECT_EQ(read_sample(R"({"ratio": 1})").ratio, 1.0F);
}

TEST(ConfigReader, ReadsListsAndMapsInTheOrderOfTheFile) {
  const Sample sample = read_sample(
      R"({"names": [], "sizes": [5, 4.0], "weights": [0.5, -1], "ranks": {"z": 1, "a": 2},
          "scales": {"k": 1}, "labels": {"x": "y"}})");
  EXPECT_TRUE(sample.names.empty());
  EXPECT_EQ(sample.sizes, (std::vector<i64>{5, 4}));
  EXPECT_EQ(sample.weights, (std::vector<double>{0.5, -1.0}));
  EXPECT_EQ(sample.ranks, (OrderedMap<i64>{{"z", 1}, {"a", 2}}));
  EXPECT_EQ(sample.scales, (OrderedMap<double>{{"k", 1.0}}));
  EXPECT_EQ(sample.labels, (OrderedMap<std::string>{{"x", "y"}}));
}

TEST(ConfigReader, ReadsOptionalsAndNullUnsetsThem) {
  const std::string all =
      R"({"maybe_flag": false, "maybe_count": 9, "maybe_rate": 0, "maybe_text": "t",
          "maybe_names": ["y"], "layers": [2, 1], "maybe_layer": {"width": 2}})";
  Sample sample = read_sample(all);
  EXPECT_EQ(sample.maybe_flag, false);
  EXPECT_EQ(sample.maybe_count, 9);
  EXPECT_EQ(sample.maybe_rate, 0.0);
  EXPECT_EQ(sample.maybe_text, "t");
  EXPECT_EQ(sample.maybe_names, Strings{"y"});
  EXPECT_EQ(sample.layers, (std::vector<i64>{2, 1}));
  ASSERT_TRUE(sample.maybe_layer.has_value());
  EXPECT_EQ(sample.maybe_layer->width, 2);
  EXPECT_EQ(sample.maybe_layer->name, "dense");

  const ConfigDocument nulls = sample_document(
      R"({"maybe_flag": null, "maybe_count": null, "maybe_rate": null, "maybe_text": null,
          "maybe_names": null, "layers": null, "maybe_layer": null})");
  read_fields(nulls, Fields(sample));
  EXPECT_FALSE(sample.maybe_flag || sample.maybe_count || sample.maybe_rate || sample.maybe_text ||
               sample.maybe_names || sample.layers || sample.maybe_layer);
}

TEST(ConfigReader, ReadsUnions) {
  EXPECT_EQ(read_sample(R"({"layers": 4})").layers, std::vector<i64>{4});
  EXPECT_EQ(read_sample(R"({"threads": 4})").threads.value, 4);
  EXPECT_TRUE(read_sample(R"({"threads": "auto"})").threads.is_auto());
  EXPECT_EQ(read_sample(R"({"temperature": 1})").temperature.value, 1.0);
  EXPECT_EQ(read_sample(R"({"targets": ".*q"})").targets, StringOrList(".*q"));
  EXPECT_EQ(read_sample(R"({"targets": ["q", "v"]})").targets, StringOrList(Strings{"q", "v"}));
  EXPECT_EQ(read_sample(R"({"excluded": "x"})").excluded, StringOrList("x"));
  EXPECT_EQ(read_sample(R"({"init": false})").init, BoolOrString(false));
  EXPECT_EQ(read_sample(R"({"init": "gaussian"})").init, BoolOrString("gaussian"));
}

TEST(ConfigReader, KeepsFreeObjectsAsTheyStand) {
  const Sample sample = read_sample(R"({"extra": {"z": [1, {"k": null}], "a": 2.5}})");
  ASSERT_TRUE(sample.extra);
  EXPECT_EQ(sample.extra.json->dump(), R"({"z":[1,{"k":null}],"a":2.5})");
  EXPECT_FALSE(read_sample(R"({"extra": null})").extra);
}

TEST(ConfigReader, ReadsNestedStructs) {
  const Sample sample = read_sample(
      R"({"layer": {"name": "in"}, "more_layers": [{"width": 1}, {}, {"name": "out"}]})");
  EXPECT_EQ(sample.layer.name, "in");
  ASSERT_EQ(sample.more_layers.size(), 3U);
  EXPECT_EQ(sample.more_layers[0].width, 1);
  EXPECT_EQ(sample.more_layers[1].width, 8);
  EXPECT_EQ(sample.more_layers[2].name, "out");
}

TEST(ConfigReader, ResolvesPathsAgainstTheDirectoryOfTheFile) {
  const Sample sample = read_sample(
      R"({"file": "../d/x.txt", "files": ["a", "./b/", "/abs/../c"], "tokenizer": "t"})");
  EXPECT_EQ(sample.file, "d/x.txt");
  EXPECT_EQ(sample.files, (Strings{"configs/a", "configs/b", "/c"}));
  EXPECT_EQ(sample.tokenizer, "configs/t");
  EXPECT_EQ(read_sample(R"({"tokenizer": "bytes"})").tokenizer, "bytes");
  EXPECT_EQ(resolved_path("a/b", ""), "a/b");
  EXPECT_EQ(resolved_path(".", ""), ".");
  EXPECT_EQ(resolved_path("/", "x"), "/");
}

TEST(ConfigReader, KeepsANameThatIsNoFileThere) {
  const TempDirectory directory;
  std::ofstream(directory.file("model.gguf")) << "x";
  EXPECT_EQ(resolved_path_or_name("model.gguf", directory.path()), directory.file("model.gguf"));
  EXPECT_EQ(resolved_path_or_name("org/model", directory.path()), "org/model");
  EXPECT_EQ(resolved_path_or_name("./missing", "a"), "a/missing");
  EXPECT_EQ(resolved_path_or_name("../missing", "a/b"), "a/missing");
  EXPECT_EQ(resolved_path_or_name("/missing", "a"), "/missing");
}

TEST(ConfigReader, AcceptsPassiveKeys) {
  EXPECT_EQ(error_of(R"({"comment": [1, "x"], "turbo": false})"), "no error");
  EXPECT_EQ(error_of(R"({"turbo": null})"), "no error");
}

struct Mistake {
  const char* json;
  const char* sentence;
};

TEST(ConfigReader, SaysEachMistakeInOneSentence) {
  const Mistake mistakes[] = {
      {R"([])", "s.json: expected a JSON object, found an empty list"},
      {R"({"flag": 1})", "s.json: /flag: expected true or false, found 1"},
      {R"({"flag": "true"})", R"(s.json: /flag: expected true or false, found "true")"},
      {R"({"count": 0})", "s.json: /count: expected an integer from 1 to 1024, found 0"},
      {R"({"count": 1025})", "s.json: /count: expected an integer from 1 to 1024, found 1025"},
      {R"({"count": 2.5})", "s.json: /count: expected an integer from 1 to 1024, found 2.5"},
      {R"({"count": "8"})", R"(s.json: /count: expected an integer from 1 to 1024, found "8")"},
      {R"({"count": null})", "s.json: /count: expected an integer from 1 to 1024, found null"},
      {R"({"count": true})", "s.json: /count: expected an integer from 1 to 1024, found true"},
      {R"({"any_integer": 9223372036854775808})",
       "s.json: /any_integer: expected an integer, found 9223372036854775808"},
      {R"({"any_integer": 1e30})", "s.json: /any_integer: expected an integer, found 1e+30"},
      {R"({"ratio": 1.5})", "s.json: /ratio: expected a number from 0 to 1, found 1.5"},
      {R"({"ratio": "NaN"})", R"(s.json: /ratio: expected a number from 0 to 1, found "NaN")"},
      {R"({"rate": 0})", "s.json: /rate: expected a number above 0 and below 1, found 0"},
      {R"({"rate": 1.0})", "s.json: /rate: expected a number above 0 and below 1, found 1.0"},
      {R"({"text": 5})", "s.json: /text: expected a string, found 5"},
      {R"({"mode": "fsat"})",
       R"(s.json: /mode: expected "fast" or "slow", found "fsat" (did you mean "fast"?))"},
      {R"({"mode": "medium"})", R"(s.json: /mode: expected "fast" or "slow", found "medium")"},
      {R"({"file": ""})", R"(s.json: /file: expected a path, found "")"},
      {R"({"file": "a\u0000b"})", R"(s.json: /file: expected a path, found "a\x00b")"},
      {R"({"model": 1})", "s.json: /model: expected a path or a name, found 1"},
      {R"({"tokenizer": 1})", R"(s.json: /tokenizer: expected "bytes", a path or null, found 1)"},
      {R"({"names": "a"})", R"(s.json: /names: expected a list of strings, found "a")"},
      {R"({"names": ["a", 2]})", "s.json: /names/1: expected a string, found 2"},
      {R"({"sizes": [3, -1]})", "s.json: /sizes/1: expected an integer of at least 0, found -1"},
      {R"({"weights": [2]})", "s.json: /weights/0: expected a number of at most 1, found 2"},
      {R"({"ranks": [1]})",
       "s.json: /ranks: expected an object of integers from 1 to 8, found a list"},
      {R"({"ranks": {"a/b~c": 9}})",
       "s.json: /ranks/a~1b~0c: expected an integer from 1 to 8, found 9"},
      {R"({"maybe_count": 10})",
       "s.json: /maybe_count: expected an integer from 1 to 9 or null, found 10"},
      {R"({"maybe_names": ["x", "z"]})",
       R"(s.json: /maybe_names/1: expected "x" or "y", found "z" (did you mean "x"?))"},
      {R"({"layers": "all"})",
       "s.json: /layers: expected an integer from 0 to 99, a list of integers or null, found "
       "\"all\""},
      {R"({"threads": 0})",
       R"(s.json: /threads: expected "auto" or an integer from 1 to 64, found 0)"},
      {R"({"threads": "atuo"})",
       R"(s.json: /threads: expected "auto" or an integer from 1 to 64, found "atuo" (did you mean )"
       R"("auto"?))"},
      {R"({"targets": null})",
       "s.json: /targets: expected a string or a list of strings, found null"},
      {R"({"init": "pissa"})",
       R"(s.json: /init: expected true, false or "gaussian", found "pissa")"},
      {R"({"extra": [1]})", "s.json: /extra: expected an object or null, found a list"},
      {R"({"layer": null})", "s.json: /layer: expected an object, found null"},
      {R"({"layer": {"width": 65}})",
       "s.json: /layer/width: expected an integer from 1 to 64, found 65"},
      {R"({"maybe_layer": 3})", "s.json: /maybe_layer: expected an object or null, found 3"},
      {R"({"more_layers": {}})",
       "s.json: /more_layers: expected a list of objects, found an empty object"},
      {R"({"more_layers": [{}, 1]})", "s.json: /more_layers/1: expected an object, found 1"},
      {R"({"more_layers": [{"nam": "x"}]})",
       R"(s.json: /more_layers/0/nam: unknown key (did you mean "name"?))"},
      {R"({"turbo": true})",
       "s.json: /turbo: expected false or null, found true: turbo is not supported"},
      {R"({"cuont": 1})", R"(s.json: /cuont: unknown key (did you mean "count"?))"},
      {R"({"number": 1})", R"(s.json: /number: unknown key (did you mean "count"?))"},
      {R"({"xylophone_quartet": 1})", "s.json: /xylophone_quartet: unknown key"},
      {R"({"width": 1})", "s.json: /width: unknown key here (it belongs in /layer)"},
      {R"({"layer": {"count": 1}})",
       "s.json: /layer/count: unknown key here (it belongs in the outermost object)"},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_EQ(error_of(mistake.json), mistake.sentence) << mistake.json;
  }
}

TEST(ConfigReader, ReportsAllMistakesInADeterministicOrder) {
  EXPECT_EQ(error_of(R"({"zzzzzzzzz": 1, "mode": 5, "flag": 0, "layer": {"wdith": 1}})"),
            "s.json: /flag: expected true or false, found 0\n"
            "s.json: /mode: expected \"fast\" or \"slow\", found 5\n"
            "s.json: /layer/wdith: unknown key (did you mean \"width\"?)\n"
            "s.json: /zzzzzzzzz: unknown key");
}

TEST(ConfigReader, KeepsItsMessageShort) {
  std::string object = "{";
  for (int i = 0; i < 1000; ++i) {
    object += (i > 0 ? ",\"" : "\"") + std::string(300, 'q') + std::to_string(i) + "\": 1";
  }
  const std::string message = error_of(object + "}");
  EXPECT_LT(message.size(), 2048U);
  EXPECT_NE(message.find(" more)"), std::string::npos);
  EXPECT_LT(error_of("{\"mode\": \"" + std::string(100'000, 'x') + "\"}").size(), 200U);
}

TEST(ConfigReader, RefusesOrToleratesUnknownKeysAsAsked) {
  using Unknown = ReadOptions::UnknownKeys;
  const char* const unset = R"({"n1": null, "n2": false, "n3": "", "n4": [], "n5": {}})";
  EXPECT_EQ(error_of(unset, {.unknown_keys = Unknown::kRefuseIfSet}), "no error");
  for (const char* const set :
       {R"({"n": 0})", R"({"n": true})", R"({"n": "x"})", R"({"n": [0]})"}) {
    EXPECT_EQ(error_of(set, {.unknown_keys = Unknown::kRefuseIfSet}), "s.json: /n: unknown key");
    EXPECT_EQ(error_of(set, {.unknown_keys = Unknown::kIgnore}), "no error");
  }
  EXPECT_EQ(error_of(R"({"layer": {"n": 1}})", {.unknown_keys = Unknown::kIgnore}), "no error");
}

TEST(ConfigReader, ThrowsByWhoseFileItIs) {
  EXPECT_THROW(read_sample(R"({"flag": 1})"), ConfigError);
  EXPECT_THROW(read_sample(R"({"flag": 1})", {.data_file = true}), DataError);
}

}  // namespace
}  // namespace inlay
