// SPDX-License-Identifier: Apache-2.0
#include "core/io/replaced_input.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/read_log.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

class ReplacedInputs : public ::testing::Test {
 protected:
  ReplacedInputs() {
    for (const char* folder :
         {"model/additional_chat_templates", "model/runs/a/adapter", "other"}) {
      make_directories(temp_.file(folder));
    }
    for (const char* file : {"model/config.json", "model/additional_chat_templates/tool.jinja",
                             "model/runs/a/adapter/weights", "other/blob", "rows"}) {
      write_file(temp_.file(file), std::string_view("x"));
    }
    fs::create_symlink("../other/blob", temp_.file("model/weights"));
    fs::create_directory_symlink("model", temp_.file("link"));
    fs::create_hard_link(temp_.file("rows"), temp_.file("rows-too"));
    fs::create_symlink("nowhere", temp_.file("dangling"));
  }
  std::string found(const std::string& output, const std::string& input) const {
    const std::string outputs[] = {temp_.file("absent"), temp_.file(output)};
    const CommandInput inputs[] = {{"nothing", temp_.file("absent")}, {"it", temp_.file(input)}};
    const auto lost = find_replaced_input(outputs, inputs);
    return lost ? fs::path(lost->path).lexically_relative(temp_.path()).string() : "";
  }
  TempDirectory temp_;
};

TEST_F(ReplacedInputs, AreToldByWhatTheyAre) {
  const struct {
    const char* output;
    const char* input;
    const char* lost;
  } cases[] = {
      {"model", "model", "model"},
      {".", "model", "model"},
      {"link", "model", "model"},
      {"model", "link", "link"},
      {"other/../model/", "model", "model"},
      {"model/config.json", "model", "model/config.json"},
      {"link/config.json", "model", "model/config.json"},
      {"model/additional_chat_templates", "model", "model/additional_chat_templates/tool.jinja"},
      {"model", "model/runs/a/adapter", "model/runs/a/adapter"},
      {"other", "model", "model/weights"},
      {"other/blob", "model", "model/weights"},
      {"rows", "rows", "rows"},
      {"rows-too", "rows", "rows"},
      // What may be written:
      {"model/runs/a/adapter", "model", ""},
      {"model/new", "model", ""},
      {"model", "rows", ""},
      {"dangling", "model", ""},
      {"rows", "dangling", ""},
      {"rows", "model", ""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(found(c.output, c.input), c.lost) << c.output << " for " << c.input;
  }
}

TEST_F(ReplacedInputs, AreNamedInTheError) {
  const std::string output = temp_.file("link");
  const CommandInput inputs[] = {{"the base model", temp_.file("model")}};
  EXPECT_EQ(error_text<ConfigError>([&] {
              require_inputs_stay(std::span(&output, 1), inputs, "choose another --out");
            }),
            str(output, ": this would be replaced, and it is or holds the base model, ",
                temp_.file("model"), "; choose another --out"));
}

TEST(ReadLog, NamesWhatWasReadOnceAndInOrder) {
  const TempDirectory temp;
  for (const char* name : {"a", "b", "c"}) {
    write_file(temp.file(name), std::string_view("12345"));
  }
  const ReadLog outer;
  file_system().read(temp.file("b"), 10);
  {
    const ReadLog inner;
    const auto mapped = file_system().map(temp.file("a"));
    file_system().read(temp.file("b"), 10);
    file_system().read(temp.file("b"), 10);
    ASSERT_EQ(inner.entries().size(), 2U);
    EXPECT_EQ(inner.entries()[0].path, temp.file("a"));
    EXPECT_EQ(inner.entries()[0].stamp.size, 5);
  }
  file_system().read(temp.file("c"), 10);
  ASSERT_EQ(outer.entries().size(), 3U);
  EXPECT_EQ(outer.entries()[0].path, temp.file("b"));
  EXPECT_EQ(outer.entries()[2].path, temp.file("c"));
  write_file(temp.file("c"), std::string_view("54321"));
  EXPECT_NE(change_since(outer.entries()[2].stamp, temp.file("c")), "");
  EXPECT_EQ(change_since(outer.entries()[0].stamp, temp.file("b")), "");
}

}  // namespace
}  // namespace inlay
