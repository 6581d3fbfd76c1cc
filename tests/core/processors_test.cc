// SPDX-License-Identifier: Apache-2.0
#include "core/processors.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

void put(const TempDirectory& root, const std::string& path, const std::string& text) {
  const std::filesystem::path file = root.file(path);
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(Processors, HaveTheirOwnName) {
  const TempDirectory root;
  EXPECT_EQ(processor_name(root.path()), "");
  put(root, "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2GHz\nmodel name\t: other\n");
  EXPECT_EQ(processor_name(root.path()), "Some CPU @ 2GHz");
}

TEST(Processors, AreLimitedByEveryControlGroupAround) {
  const TempDirectory root;
  EXPECT_FALSE(processor_quota(root.path()).has_value());
  put(root, "proc/self/cgroup", "0::/outer/inner\n");
  put(root, "sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n");
  EXPECT_FALSE(processor_quota(root.path()).has_value());
  put(root, "sys/fs/cgroup/outer/cpu.max", "250000 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 2.5);
  put(root, "sys/fs/cgroup/cpu.max", "50000 100000\n");
  EXPECT_EQ(processor_quota(root.path()), 0.5);
}

TEST(Processors, AreLimitedByControlGroupsOfVersion1) {
  const TempDirectory root;
  put(root, "proc/self/cgroup", "5:cpu,cpuacct:/job\n4:memory:/job\n");
  put(root, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
  put(root, "sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_FALSE(processor_quota(root.path()).has_value());
  put(root, "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(processor_quota(root.path()), 3.0);
}

}  // namespace
}  // namespace inlay
