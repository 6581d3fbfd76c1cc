// SPDX-License-Identifier: Apache-2.0

// The arrows between folders, read from the #include lines, and what else every source file keeps
// to.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// A folder and those whose headers it may include, itself aside.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"core", {}},
    {"data", {"core"}},
    {"nn", {"core"}},
    {"optim", {"core"}},
    {"quant", {"core", "nn"}},
    {"finetune", {"core", "data", "nn", "optim", "quant"}},
    {"apps", {"core", "data", "nn", "optim", "quant", "finetune"}},
};

/// The same inside core, where "." are the files that lie in core/ itself. Files and configs need
/// no tensors, but the names of element types and of stored formats.
const std::map<std::string, std::set<std::string>> kMayIncludeInCore = {
    {".", {"kernels/philox.h"}},  // the one counter that dropout and random numbers share
    {"kernels", {"."}},
    {"memory", {"."}},
    {"config", {".", "io"}},
    {"io", {".", "config", "tensor/dtype.h", "kernels/matrix_format.h"}},
    {"backend", {".", "kernels", "memory"}},
    {"tensor", {".", "kernels", "memory", "backend"}},
    {"autograd", {".", "kernels", "memory", "backend", "tensor"}},
    {"ops", {".", "kernels", "memory", "backend", "tensor", "autograd"}},
};

/// What kernels may have from core/ itself: numbers, errors and threads, nothing that allocates.
const std::set<std::string> kForKernels = {"core/types.h", "core/error.h", "core/parallel.h",
                                           "core/segments.h"};

/// Each costs a second and more wherever it is read.
const std::vector<std::string> kHeavy = {"nlohmann/json.hpp", "Eigen/",  "CLI/",
                                         "spdlog/",           "pcre2.h", "utf8proc.h"};
/// Templates over the parser's values, read by the four sources that take tokenizer files apart.
const std::set<std::string> kMayBeHeavy = {"data/tokenizer/json_view.h"};

/// The folder at this depth: part("core/io/gguf.h", 1) == "io".
std::string part(const std::string& path, int depth) {
  const fs::path parts(path);
  return std::next(parts.begin(), depth)->string();
}

/// "kernels" for "core/kernels/gemm.h", "." for "core/error.h".
std::string core_folder(const std::string& path) {
  return std::count(path.begin(), path.end(), '/') > 1 ? part(path, 1) : ".";
}

bool may_include_in_core(const std::string& file, const std::string& header) {
  const std::string from = core_folder(file);
  const std::string to = core_folder(header);
  if (from == "kernels" && to == ".") {
    return kForKernels.contains(header);
  }
  const auto rule = kMayIncludeInCore.find(from);
  return rule != kMayIncludeInCore.end() &&
         (from == to || rule->second.contains(to) ||
          rule->second.contains(header.substr(header.find('/') + 1)));
}

/// The library of templates stands for itself.
bool may_include_in_template(const std::string& header) {
  return header.starts_with("data/template/") || header.starts_with("core/") ||
         header == "data/text/ascii.h";
}

bool may_include(const std::string& file, const std::string& header) {
  const std::string from = part(file, 0);
  const std::string to = part(header, 0);
  if (from == "core" && to == "core") {
    return may_include_in_core(file, header);
  }
  if (file.starts_with("data/template/") && !may_include_in_template(header)) {
    return false;
  }
  const auto rule = kMayInclude.find(from);
  return rule != kMayInclude.end() && (from == to || rule->second.contains(to));
}

bool is_heavy(const std::string& header) {
  return std::any_of(kHeavy.begin(), kHeavy.end(),
                     [&](const std::string& heavy) { return header.starts_with(heavy); });
}

std::string root() {
  return INLAY_SOURCE_DIR;
}

std::string read(const std::string& file) {
  std::ifstream in(root() + "/" + file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Every file of the project but what is built or fetched, by its path in it.
std::vector<std::string> files() {
  const std::set<std::string> not_ours = {"build", "models", "runs", ".git", ".cache"};
  std::vector<std::string> out;
  for (const auto& top : fs::directory_iterator(root())) {
    const std::string name = top.path().filename().string();
    if (top.is_regular_file()) {
      out.push_back(name);
    }
    if (!top.is_directory() || not_ours.contains(name)) {
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(top.path())) {
      if (entry.is_regular_file()) {
        out.push_back(fs::relative(entry.path(), root()).string());
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool is_source(const std::string& file) {
  return file.ends_with(".cc") || file.ends_with(".h");
}

/// The .cc and .h files of the libraries and the command.
std::vector<std::string> library_sources() {
  std::vector<std::string> out;
  for (const std::string& file : files()) {
    if (is_source(file) && kMayInclude.contains(part(file, 0))) {
      out.push_back(file);
    }
  }
  return out;
}

struct Include {
  std::string header;
  bool ours = false;  // in quotes
};

std::vector<Include> includes(const std::string& text) {
  std::vector<Include> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string hash, word;
    in >> hash;
    if (hash == "#") {
      in >> word;
      hash += word;
    }
    if (hash != "#include" || !(in >> word) || word.size() < 3) {
      continue;
    }
    out.push_back({word.substr(1, word.size() - 2), word[0] == '"'});
  }
  return out;
}

TEST(Includes, TheRulesForbidWhatTheyShould) {
  EXPECT_TRUE(may_include("finetune/a.cc", "quant/b.h"));
  EXPECT_TRUE(may_include("quant/a.cc", "nn/b.h"));
  EXPECT_FALSE(may_include("nn/a.cc", "quant/b.h"));
  EXPECT_FALSE(may_include("quant/a.cc", "finetune/b.h"));
  EXPECT_FALSE(may_include("core/a.cc", "nn/b.h"));
  EXPECT_FALSE(may_include("finetune/a.cc", "tests/b.h"));
  EXPECT_TRUE(may_include("core/kernels/a.cc", "core/types.h"));
  EXPECT_FALSE(may_include("core/kernels/a.cc", "core/tensor/tensor.h"));
  EXPECT_FALSE(may_include("core/kernels/a.cc", "core/memory/memory.h"));
  EXPECT_FALSE(may_include("core/tensor/a.cc", "core/autograd/graph.h"));
  EXPECT_FALSE(may_include("core/autograd/a.cc", "core/ops/b.h"));
  EXPECT_TRUE(may_include("core/io/a.cc", "core/tensor/dtype.h"));
  EXPECT_FALSE(may_include("core/io/a.cc", "core/tensor/tensor.h"));
  const std::vector<Include> found =
      includes("#include <a/b.h>\n# include \"c.h\"  // why\nint x;");
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].header, "a/b.h");
  EXPECT_FALSE(found[0].ours);
  EXPECT_EQ(found[1].header, "c.h");
  EXPECT_TRUE(found[1].ours);
}

TEST(Includes, NoArrowPointsUp) {
  constexpr std::size_t kMinSources = 200;  // so that a wrong root does not pass for an empty tree
  ASSERT_GT(library_sources().size(), kMinSources);
  for (const std::string& file : library_sources()) {
    for (const Include& include : includes(read(file))) {
      if (include.ours) {
        EXPECT_TRUE(may_include(file, include.header)) << file << " includes " << include.header;
      }
    }
  }
}

TEST(Includes, OurHeadersAreNamedFromTheRootAndThere) {
  for (const std::string& file : files()) {
    for (const Include& include : is_source(file) ? includes(read(file)) : std::vector<Include>()) {
      EXPECT_TRUE(!include.ours || fs::is_regular_file(root() + "/" + include.header))
          << file << " includes " << include.header;
    }
  }
}

TEST(Includes, HeavyHeadersStayInSourceFiles) {
  for (const std::string& file : library_sources()) {
    for (const Include& include : includes(read(file))) {
      EXPECT_TRUE(!file.ends_with(".h") || !is_heavy(include.header) || kMayBeHeavy.contains(file))
          << file << " includes " << include.header;
    }
  }
}

/// The entries of the backend's table.
std::set<std::string> kernels_of_the_table() {
  std::set<std::string> names;
  std::istringstream lines(read("core/backend/kernels.inc"));
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kEntry = "INLAY_KERNEL(";
    if (line.starts_with(kEntry)) {
      names.insert(line.substr(kEntry.size(), line.find(',') - kEntry.size()));
    }
  }
  return names;
}

/// GGUF blocks are encoded on the host: for files, and for benchmarks on the processor.
const std::set<std::string> kOnTheHost = {"quant/gguf_blocks.cc"};

// What calls one by its name works on the processor alone.
TEST(Sources, KernelsAreAskedOfABackend) {
  const std::set<std::string> names = kernels_of_the_table();
  ASSERT_GT(names.size(), 60U);
  for (const std::string& file : library_sources()) {
    if (file.starts_with("core/kernels/") || file.starts_with("core/backend/") ||
        kOnTheHost.contains(file)) {
      continue;
    }
    const std::string text = read(file);
    constexpr std::string_view kNamespace = "kernels::";
    for (std::size_t at = text.find(kNamespace); at != std::string::npos;
         at = text.find(kNamespace, at + 1)) {
      const std::size_t begin = at + kNamespace.size();
      const std::size_t end = text.find_first_of("(<;,{} &)\n", begin);
      EXPECT_FALSE(end != std::string::npos && text[end] == '(' &&
                   names.contains(text.substr(begin, end - begin)))
          << file << " calls kernels::" << text.substr(begin, end - begin);
    }
  }
}

TEST(Sources, EachNamesItsLicenceAtTheTop) {
  for (const std::string& file : files()) {
    const bool script = file.ends_with(".py") || file.ends_with(".sh") ||
                        file.ends_with(".cmake") || file.ends_with("CMakeLists.txt") ||
                        (file.starts_with(".ci/") && file != ".ci/packages");
    if (!is_source(file) && !script) {
      continue;
    }
    const std::string text = read(file);
    const std::size_t begin = text.starts_with("#!") ? text.find('\n') + 1 : 0;
    const std::string line = is_source(file) ? "// SPDX-License-Identifier: Apache-2.0\n"
                                             : "# SPDX-License-Identifier: Apache-2.0\n";
    EXPECT_EQ(text.substr(begin, line.size()), line) << file;
  }
}

TEST(Sources, HeadersAreReadOnce) {
  for (const std::string& file : files()) {
    if (file.ends_with(".h")) {
      EXPECT_NE(read(file).find("\n#pragma once\n"), std::string::npos) << file;
    }
  }
}

// Two classes of one name are one to the linker, which keeps the functions of either.
TEST(Sources, NoTwoHeadersDefineAClassOfOneName) {
  const std::regex opens(R"(namespace ([\w:]+) \{)");
  const std::regex defines(R"((?:class|struct) (\w+)(?: final)?(?: : .*)? \{)");
  std::map<std::string, std::string> first;
  for (const std::string& file : files()) {
    const std::string text = read(file);
    // What is compiled for each instruction set lies in a namespace of its own.
    if (!file.ends_with(".h") || file.starts_with("tests/") ||
        text.find("INLAY_ISA") != std::string::npos) {
      continue;
    }
    std::string space;
    std::istringstream lines(text);
    std::smatch found;
    for (std::string line; std::getline(lines, line);) {
      if (std::regex_match(line, found, opens)) {
        space = found[1];
      } else if (std::regex_match(line, found, defines)) {
        const auto [it, added] = first.emplace(space + "::" + found[1].str(), file);
        EXPECT_TRUE(added) << it->first << " in " << it->second << " and " << file;
      }
    }
  }
  EXPECT_GT(first.size(), 200U) << "hardly any class was seen";
}

TEST(Sources, NoFileIsOverAMegabyte) {
  constexpr std::uintmax_t kMaxBytes = 1'000'000;
  for (const std::string& file : files()) {
    EXPECT_LE(fs::file_size(root() + "/" + file), kMaxBytes) << file;
  }
}

}  // namespace
}  // namespace inlay
