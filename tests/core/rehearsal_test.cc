// SPDX-License-Identifier: Apache-2.0
#include "core/backend/rehearsal.h"

#include <gtest/gtest.h>

#include "core/autograd/graph.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "core/memory/available.h"
#include "core/memory/byte_text.h"
#include "core/memory/memory.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

TEST(Rehearsal, AsksForNoWorkAndEndsWithItsScope) {
  RehearsalBackend rehearsal;
  {
    const UseBackend use(rehearsal);
    const Tensor x = Tensor::full({3}, 2.0F);
    EXPECT_EQ(scale(x, 2.0F).to_vector(), std::vector<float>(3)) << "nothing is computed";
  }
  EXPECT_EQ(Tensor::full({1}, 2.0F).item(), 2.0F);
}

TEST(Rehearsal, AnswersQuestionsLikeTheProcessor) {
  const RehearsalBackend rehearsal;
  for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16, GemmCompute::kInt8}) {
    EXPECT_EQ(rehearsal.kernels().has_bf16_operands(compute), kernels::has_bf16_operands(compute));
  }
}

TEST(Rehearsal, KeepsTheHostFromItsMemory) {
  RehearsalBackend rehearsal;
  const UseBackend use(rehearsal);
  const Tensor x = Tensor::zeros({3});
  EXPECT_THROW(x.values(), Error);
  EXPECT_THROW(x.mutable_values(), Error);
}

TEST(Rehearsal, KeepsBooksOfItsOwn) {
  const Tensor before = Tensor::empty({1000});
  const MemoryReport real = current_memory();
  const i64 peak = peak_memory().total();
  {
    RehearsalBackend rehearsal;
    const UseBackend use(rehearsal);
    EXPECT_EQ(current_memory().total(), 0);
    {
      const MemoryScope scope(MemoryClass::kWeights);
      const Tensor t = Tensor::empty({1 << 20});
      EXPECT_EQ(current_memory()[MemoryClass::kWeights], 4 << 20);
    }
    EXPECT_EQ(peak_memory().total(), 4 << 20);
  }
  EXPECT_EQ(current_memory().bytes, real.bytes);
  EXPECT_EQ(peak_memory().total(), peak);
}

// What a step needs can be asked of a machine that has not half of it.
TEST(Rehearsal, TakesNoMemoryForTensors) {
  constexpr i64 kRows = i64{1} << 22;
  const i64 rss = current_rss();
  RehearsalBackend rehearsal;
  const UseBackend use(rehearsal);
  {
    const Tensor x = Tensor::zeros({kRows, 1024});  // 16 GB
    x.set_requires_grad(true);
    const Tensor w = Tensor::zeros({1024, 1024});
    const Tensor y = scale(linear(x.clone(), w), 2.0F);
    EXPECT_EQ(current_memory().total(), 4 * 1024 * (2 * kRows + 1024));
  }
  EXPECT_GE(reserved_memory(), 3 * 4 * 1024 * kRows);
  EXPECT_LE(current_rss() - rss, 8 << 20);
}

TEST(Rehearsal, CountsEveryPieceOfAMappedFileOnce) {
  const std::vector<std::byte> file(1000);
  const auto owner = std::make_shared<int>(0);
  RehearsalBackend rehearsal;
  const UseBackend use(rehearsal);
  for (int i = 0; i < 2; ++i) {
    Tensor::borrow(std::span(file).first(400), {100}, DType::kF32, owner);
    Tensor::borrow(std::span(file).subspan(400, 80), {80}, DType::kU8, owner);
  }
  EXPECT_EQ(rehearsal.host_bytes(), 480);
}

TEST(ByteText, ReadsSizesAsPeopleWriteThem) {
  EXPECT_EQ(bytes_from_text("6GB"), 6'000'000'000);
  EXPECT_EQ(bytes_from_text("900MB"), 900'000'000);
  EXPECT_EQ(bytes_from_text("1.5GiB"), 3 * (i64{1} << 29));
  EXPECT_EQ(bytes_from_text("64 kib"), 65536);
  EXPECT_EQ(bytes_from_text("12B"), 12);
  for (const char* wrong : {"", "GB", "6", "6 G", "-1GB", "6GBs", "nanGB", "1e3MB", "99999999TB"}) {
    EXPECT_EQ(bytes_from_text(wrong), std::nullopt) << wrong;
  }
}

TEST(ByteText, WritesThemInThreeDigitsOrSo) {
  EXPECT_EQ(readable_bytes(48), "48 B");
  EXPECT_EQ(readable_bytes(980'000), "980 kB");
  EXPECT_EQ(readable_bytes(412'345'678), "412.3 MB");
  EXPECT_EQ(readable_bytes(1'240'000'000), "1.24 GB");
}

class AvailableMemory : public ::testing::Test {
 protected:
  void file(const std::string& path, const std::string& text) {
    const std::string whole = temp_.file(path);
    make_directories(parent_path(whole));
    write_file(whole, text);
  }
  i64 available() const { return available_memory(temp_.path()); }

  TempDirectory temp_;
};

TEST_F(AvailableMemory, OfAMachineIsWhatItsKernelSays) {
  EXPECT_GT(available_memory(), 1 << 20);
  file("proc/meminfo",
       "MemTotal:  9000 kB\nMemFree: 10 kB\nMemAvailable:   2000 kB\nBuffers: 1 kB\n");
  EXPECT_EQ(available(), 2'048'000);
}

TEST_F(AvailableMemory, IsCutByTheLimitsOfControlGroupsUpToTheRoot) {
  file("proc/meminfo", "MemAvailable: 2000 kB\n");
  file("proc/self/cgroup", "0::/jobs/mine\n");
  file("sys/fs/cgroup/jobs/mine/memory.max", "max\n");
  file("sys/fs/cgroup/jobs/mine/memory.current", "500000\n");
  EXPECT_EQ(available(), 2'048'000);
  file("sys/fs/cgroup/jobs/memory.max", "1000000\n");
  file("sys/fs/cgroup/jobs/memory.current", "700000\n");
  EXPECT_EQ(available(), 300'000);
  file("sys/fs/cgroup/jobs/memory.stat", "anon 1\ninactive_file 100000\nactive_file 7\n");
  EXPECT_EQ(available(), 400'000) << "pages of files can be dropped";
}

TEST_F(AvailableMemory, KnowsTheFirstVersionOfControlGroups) {
  file("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/a\n0::/\n");
  file("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000\n");
  file("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "2000\n");
  EXPECT_EQ(available(), 3000);
}

}  // namespace
}  // namespace inlay
