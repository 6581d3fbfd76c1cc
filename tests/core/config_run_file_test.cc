// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/config/run_file.h"
#include "core/error.h"
#include "tests/core/config_sample.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using Overrides = std::vector<std::string>;

class RunFile : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& text) const {
    std::string path = directory_.file(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  /// The error of loading and reading, with the directory's name taken out.
  std::string error_of(const std::string& path, const Overrides& overrides = {}) const {
    try {
      read_config<Sample>(load_run_file(path, overrides));
    } catch (const ConfigError& error) {
      std::string message = error.what();
      const std::string prefix = directory_.path() + "/";
      for (auto at = message.find(prefix); at != std::string::npos; at = message.find(prefix)) {
        message.erase(at, prefix.size());
      }
      return message;
    }
    return "no error";
  }

  TempDirectory directory_;
};

TEST_F(RunFile, MayHaveComments) {
  const std::string path = write("a.json", "// a run\n{\"count\": 5 // five\n}\n");
  EXPECT_EQ(read_config<Sample>(load_run_file(path)).count, 5);
}

TEST_F(RunFile, InheritsObjectsKeyByKeyAndReplacesTheRest) {
  write("base/b.json", R"({"count": 5, "names": ["x"], "layer": {"name": "b", "width": 4},
                           "maybe_layer": {"width": 9}, "ranks": {"p": 1, "q": 2}})");
  const std::string path = write("a.json", R"({"extends": "base/b.json", "names": ["y"],
                           "layer": {"width": 5}, "maybe_layer": null, "ranks": {"p": 3, "z": 4}})");
  const Sample sample = read_config<Sample>(load_run_file(path));
  EXPECT_EQ(sample.count, 5);
  EXPECT_EQ(sample.names, std::vector<std::string>{"y"});
  EXPECT_EQ(sample.layer.name, "b");
  EXPECT_EQ(sample.layer.width, 5);
  EXPECT_FALSE(sample.maybe_layer.has_value());
  EXPECT_EQ(sample.ranks, (OrderedMap<i64>{{"p", 3}, {"q", 2}, {"z", 4}}));
}

TEST_F(RunFile, ResolvesPathsAgainstTheFileThatWroteThem) {
  write("base/c.json", R"({"file": "c.txt", "files": ["c"], "tokenizer": "c"})");
  write("base/b.json", R"({"extends": "c.json", "files": ["b"]})");
  const std::string path = write("a.json", R"({"extends": "base/b.json", "tokenizer": "a"})");
  const Sample sample = read_config<Sample>(load_run_file(path));
  EXPECT_EQ(sample.file, directory_.file("base/c.txt"));
  EXPECT_EQ(sample.files, std::vector<std::string>{directory_.file("base/b")});
  EXPECT_EQ(sample.tokenizer, directory_.file("a"));
}

TEST_F(RunFile, NamesTheFileThatMadeTheMistake) {
  write("b.json", R"({"count": 0, "layer": {"width": 0}})");
  const std::string path = write("a.json", R"({"extends": "b.json", "layer": {"nmae": "x"}})");
  EXPECT_EQ(error_of(path),
            "b.json: /count: expected an integer from 1 to 1024, found 0\n"
            "b.json: /layer/width: expected an integer from 1 to 64, found 0\n"
            "a.json: /layer/nmae: unknown key (did you mean \"name\"?)");
}

TEST_F(RunFile, RefusesACircleOfBases) {
  write("b.json", R"({"extends": "./sub/../a.json"})");
  const std::string path = write("a.json", R"({"extends": "b.json"})");
  EXPECT_EQ(error_of(path), "b.json: /extends: a.json is extended in a circle");
  EXPECT_EQ(error_of(write("self.json", R"({"extends": "self.json"})")),
            "self.json: /extends: self.json is extended in a circle");
}

TEST_F(RunFile, RefusesWhatIsNoConfig) {
  EXPECT_EQ(error_of(write("list.json", "[1]")), "list.json: expected a JSON object");
  EXPECT_EQ(error_of(write("n.json", R"({"extends": 5})")), "n.json: /extends: expected a path");
  EXPECT_EQ(error_of(write("dup.json", "{\"count\": 1,\n \"count\": 2}")),
            "dup.json: line 2, column 2: key \"count\" is given twice in one object");
  EXPECT_EQ(error_of(write("cut.json", "{\"count\": ")).substr(0, 27),
            "cut.json: line 1, column 11");
  EXPECT_EQ(error_of(directory_.file("missing.json")).substr(0, 12), "missing.json");
  EXPECT_EQ(error_of(write("e.json", R"({"extends": "gone.json"})")).substr(0, 9), "gone.json");
}

TEST_F(RunFile, RefusesAFileTooLargeForAConfig) {
  std::string list = "{\"sizes\": [1";
  for (int i = 0; i < 5'000; ++i) {
    list += ",1";
  }
  EXPECT_NE(error_of(write("many.json", list + "]}")).find("more than 5000 values"),
            std::string::npos);
  const std::string blank(1'100'000, ' ');
  EXPECT_EQ(error_of(write("long.json", blank + "{}")).substr(0, 10), "long.json:");
}

TEST_F(RunFile, PutsOverridesOnTopInTheirOrder) {
  const std::string path = write("a.json", R"({"count": 5, "layer": {"name": "x"}})");
  // What is no JSON is a string: "slow", "a=b", "[qk]_proj", "x.txt".
  const Overrides overrides = {"count=6",
                               "count=7",
                               "layer.width=2",
                               "maybe_layer.name=new",
                               "flag=true",
                               "mode=slow",
                               "text=a=b",
                               "targets=[\"q\"]",
                               "maybe_text=\"5\"",
                               "excluded=[qk]_proj",
                               "ranks={\"a.b\": 1}",
                               "file=x.txt"};
  const Sample sample = read_config<Sample>(load_run_file(path, overrides));
  EXPECT_EQ(sample.count, 7);
  EXPECT_EQ(sample.layer.name, "x");
  EXPECT_EQ(sample.layer.width, 2);
  ASSERT_TRUE(sample.maybe_layer.has_value());
  EXPECT_EQ(sample.maybe_layer->name, "new");
  EXPECT_TRUE(sample.flag);
  EXPECT_EQ(sample.mode, "slow");
  EXPECT_EQ(sample.text, "a=b");
  EXPECT_EQ(sample.targets, StringOrList(std::vector<std::string>{"q"}));
  EXPECT_EQ(sample.maybe_text, "5");
  EXPECT_EQ(sample.excluded, StringOrList("[qk]_proj"));
  EXPECT_EQ(sample.ranks, (OrderedMap<i64>{{"a.b", 1}}));
  EXPECT_EQ(sample.file, "x.txt");  // relative to the working directory
}

TEST_F(RunFile, NamesTheOverrideThatMadeTheMistake) {
  const std::string path = write("a.json", R"({"names": ["a"]})");
  struct Case {
    const char* assignment;
    const char* sentence;
  };
  const Case cases[] = {
      {"layer.wdith=3",
       R"(--set layer.wdith=3: /layer/wdith: unknown key (did you mean "width"?))"},
      {"count=many",
       R"(--set count=many: /count: expected an integer from 1 to 1024, found "many")"},
      {"count.x=1", "--set count.x=1: /count: expected an integer from 1 to 1024, found an object"},
      {"names.0=b", "--set names.0=b: /names: expected a list of strings, found an object"},
      {"count",
       "--set count: expected KEY=VALUE with the parts of the key joined by dots, such as "
       "training.learning_rate=1e-4"},
      {"layer..width=1",
       "--set layer..width=1: expected KEY=VALUE with the parts of the key joined "
       "by dots, such as training.learning_rate=1e-4"},
      {"=1",
       "--set =1: expected KEY=VALUE with the parts of the key joined by dots, such as "
       "training.learning_rate=1e-4"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(error_of(path, {c.assignment}), c.sentence);
  }
}

TEST(ConfigDocument, KnowsWhoWroteEachValue) {
  ConfigDocument document;
  document.set_root_origin({"root", ""});
  document.overlay(parse_ordered_json(R"({"a": {"x": 1, "y": {"z": 2}}, "ab": 1})", ""),
                   {"one", ""});
  document.overlay(parse_ordered_json(R"({"a": {"y": 3, "w": 4}})", ""), {"two", ""});
  EXPECT_EQ(document.origin("").source, "root");
  EXPECT_EQ(document.origin("/elsewhere").source, "root");
  EXPECT_EQ(document.origin("/a").source, "one");
  EXPECT_EQ(document.origin("/a/x").source, "one");
  EXPECT_EQ(document.origin("/a/y").source, "two");
  EXPECT_EQ(document.origin("/a/y/z").source, "two");
  EXPECT_EQ(document.origin("/a/w").source, "two");
  EXPECT_EQ(document.origin("/ab").source, "one");
  EXPECT_EQ(document.json().dump(), R"({"a":{"x":1,"y":3,"w":4},"ab":1})");
}

}  // namespace
}  // namespace inlay
