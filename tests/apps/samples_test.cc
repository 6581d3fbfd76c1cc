// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/error.h"
#include "core/io/file_system.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

constexpr i64 kMaxSampleBytes = 1 << 20;
constexpr std::array kSplits = {"train.jsonl", "validation.jsonl", "test.jsonl"};

std::string committed(const std::string& name) {
  return file_system().read(INLAY_SOURCE_DIR "/data/samples/" + name, kMaxSampleBytes);
}

TEST(Samples, AreWhatTheirGeneratorWrites) {
  const TempDirectory directory;
  const std::string command = str(INLAY_MAKE_SAMPLES, " '", directory.path(), "'");
  ASSERT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): a program of this build
  for (const char* name : {"train.jsonl", "validation.jsonl", "test.jsonl", "long-train.jsonl",
                           "long-validation.jsonl"}) {
    EXPECT_EQ(file_system().read(directory.path() + "/" + name, kMaxSampleBytes), committed(name))
        << name;
  }
}

TEST(Samples, ShareNoPersonThingOrSellerBetweenSplits) {
  std::set<std::string> seen;
  for (const char* name : kSplits) {
    std::set<std::string> here;
    std::istringstream lines(committed(name));
    for (std::string line; std::getline(lines, line);) {
      const auto row = nlohmann::json::parse(line);
      const auto record = nlohmann::json::parse(row["completion"].get<std::string>());
      ASSERT_EQ(record.size(), 6U) << line;
      for (const char* field : {"customer", "item", "seller"}) {
        here.insert(record[field].get<std::string>());
      }
    }
    for (const std::string& entity : here) {
      EXPECT_TRUE(seen.insert(entity).second) << entity << " is in two splits";
    }
  }
}

}  // namespace
}  // namespace inlay
