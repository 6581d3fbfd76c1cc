// SPDX-License-Identifier: Apache-2.0

// What the README tells people to type is what the command takes, and the example configs are
// sound.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/apps/child_process.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

const std::string& root() {
  static const std::string path = INLAY_SOURCE_DIR;
  return path;
}

/// The words of a shell line: quotes hold words together, # begins a comment, and a pipe, a
/// redirection or the next command ends it.
std::vector<std::string> shell_words(const std::string& line) {
  std::vector<std::string> out;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (const char c : line) {
    if (quote != 0) {
      quote = c == quote ? 0 : quote;
      word += quote != 0 ? std::string(1, c) : "";
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) {
        out.push_back(word);
      }
      word.clear();
      in_word = false;
    } else if (c == '|' || c == '>' || c == '<' || c == ';' || c == '&' || (c == '#' && !in_word)) {
      break;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) {
    out.push_back(word);
  }
  return out;
}

/// The arguments of every call of the command in the fenced blocks of a Markdown text.
std::vector<std::vector<std::string>> commands_in(const std::string& markdown) {
  std::vector<std::vector<std::string>> out;
  std::istringstream lines(markdown);
  bool fenced = false;
  std::string before;  // lines that end in a backslash
  for (std::string line; std::getline(lines, line);) {
    const std::size_t start = line.find_first_not_of(' ');
    if (start != std::string::npos && line.compare(start, 3, "```") == 0) {
      fenced = !fenced;
      continue;
    }
    line.insert(0, before);
    before.clear();
    if (fenced && line.ends_with('\\')) {
      before = line.substr(0, line.size() - 1);
      continue;
    }
    std::vector<std::string> words = shell_words(line);
    if (!words.empty() && words[0] == "$") {
      words.erase(words.begin());
    }
    if (fenced && words.size() > 1 &&
        (words[0] == "inlay" || words[0] == "./build/release/apps/inlay")) {
      out.emplace_back(words.begin() + 1, words.end());
    }
  }
  return out;
}

/// "train", or "config check" where a command has commands of its own.
std::string command_name(const std::vector<std::string>& arguments) {
  const bool two = arguments[0] == "config" || arguments[0] == "data" || arguments[0] == "bench" ||
                   arguments[0] == "tokenizer";
  return two && arguments.size() > 1 ? arguments[0] + " " + arguments[1] : arguments[0];
}

/// The options its help lists; nothing for a command that does not exist.
std::set<std::string> options_of(const std::string& command) {
  std::vector<std::string> arguments = words(command);
  arguments.emplace_back("--help");
  const Finished help = run_inlay(root(), arguments);
  std::set<std::string> out;
  if (help.exit_code != 0) {
    return out;
  }
  std::istringstream lines(help.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string names, name;
    in >> names;  // "-m,--model"
    std::istringstream split(names);
    while (std::getline(split, name, ',')) {
      if (name.starts_with('-')) {
        out.insert(name);
      }
    }
  }
  return out;
}

/// Words that look like options: not numbers below zero, and without the value of "--a=b".
std::vector<std::string> options_in(const std::vector<std::string>& arguments) {
  std::vector<std::string> out;
  for (const std::string& word : arguments) {
    const bool number = word.size() > 1 && std::isdigit(static_cast<unsigned char>(word[1])) != 0;
    if (word.size() > 1 && word[0] == '-' && !number) {
      out.push_back(word.substr(0, word.find('=')));
    }
  }
  return out;
}

std::string readme() {
  std::ifstream file(root() + "/README.md");
  EXPECT_TRUE(file) << "README.md is missing";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Readme, CommandLinesAreFoundInFencedBlocksAlone) {
  const auto found = commands_in(
      "inlay none\n```bash\n$ inlay train a.json \\\n  --set 'a.b=c d' | tee log  # why\n"
      "./build/release/apps/inlay config check a.json > x\nninja\n```\ninlay none\n");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0], (std::vector<std::string>{"train", "a.json", "--set", "a.b=c d"}));
  EXPECT_EQ(found[1], (std::vector<std::string>{"config", "check", "a.json"}));
  EXPECT_EQ(command_name(found[1]), "config check");
  EXPECT_EQ(options_in({"-n", "-3", "--top-k=4", "x-y"}),
            (std::vector<std::string>{"-n", "--top-k"}));
  EXPECT_TRUE(options_of("train").contains("--overwrite"));
  EXPECT_TRUE(options_of("eval").contains("-m"));
  EXPECT_FALSE(options_of("eval").contains("--overwrite"));
  EXPECT_TRUE(options_of("nonsense").empty());
}

TEST(Readme, NamesOnlyCommandsAndOptionsThatExist) {
  const auto commands = commands_in(readme());
  EXPECT_FALSE(commands.empty()) << "README.md shows no command";
  std::map<std::string, std::set<std::string>> known;
  for (const std::vector<std::string>& arguments : commands) {
    if (arguments[0].starts_with('-')) {
      EXPECT_EQ(run_inlay(root(), arguments).exit_code, 0) << arguments[0];
      continue;
    }
    const std::string name = command_name(arguments);
    if (!known.contains(name)) {
      known[name] = options_of(name);
    }
    EXPECT_FALSE(known[name].empty()) << "there is no command: inlay " << name;
    for (const std::string& option : options_in(arguments)) {
      EXPECT_TRUE(known[name].contains(option)) << "inlay " << name << " has no " << option;
    }
  }
}

TEST(Readme, ExampleConfigsAreSound) {
  std::vector<std::string> configs;
  for (const auto& entry : fs::directory_iterator(root() + "/configs")) {
    if (entry.path().extension() == ".json") {
      configs.push_back(entry.path().string());
    }
  }
  EXPECT_FALSE(configs.empty());
  for (const std::string& config : configs) {
    const Finished check = run_inlay(root(), {"config", "check", config});
    EXPECT_EQ(check.exit_code, 0) << check.err;
  }
}

}  // namespace
}  // namespace inlay
