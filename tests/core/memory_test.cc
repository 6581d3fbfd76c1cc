// SPDX-License-Identifier: Apache-2.0
#include "core/memory/memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "core/memory/block_cache.h"
#include "core/tensor/tensor.h"

namespace inlay {
namespace {

TEST(Memory, BooksTensorsUnderTheirClass) {
  const MemoryReport before = current_memory();
  {
    const MemoryScope scope(MemoryClass::kAdapters);
    const Tensor t = Tensor::zeros({1000});
    EXPECT_EQ(current_memory()[MemoryClass::kAdapters], before[MemoryClass::kAdapters] + 4000);
    t.storage()->set_memory_class(MemoryClass::kGradients);
    EXPECT_EQ(current_memory()[MemoryClass::kAdapters], before[MemoryClass::kAdapters]);
    EXPECT_EQ(current_memory()[MemoryClass::kGradients], before[MemoryClass::kGradients] + 4000);
  }
  EXPECT_EQ(current_memory().total(), before.total());
}

TEST(Memory, PeakIsTheHighestTotalWithItsClasses) {
  reset_peak_memory();
  const i64 start = current_memory().total();
  {
    const Tensor a = Tensor::zeros({1000});
    const MemoryScope scope(MemoryClass::kScratch);
    const Tensor b = Tensor::zeros({500});
  }
  const Tensor c = Tensor::zeros({10});
  EXPECT_EQ(peak_memory().total() - start, 6000);
  EXPECT_EQ(peak_memory()[MemoryClass::kScratch], 2000);
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(Memory, RecyclesBlocksInsteadOfGrowing) {
  const auto step = [] {
    std::vector<Tensor> live;
    for (const i64 n : {1 << 20, 300000, 1 << 18, 77, 4096}) {
      live.push_back(Tensor::empty({n}));
    }
    live.erase(live.begin());
    live.push_back(Tensor::empty({900000}));
  };
  step();
  const i64 reserved = reserved_memory();
  for (int i = 0; i < 100; ++i) {
    step();
  }
  EXPECT_EQ(reserved_memory(), reserved);
}

TEST(Memory, JoinsFreedNeighbours) {
  // Eight blocks freed in any order make room for one of their joint size.
  BlockCache cache(BlockCache::Kind::kMemory);
  std::vector<std::byte*> blocks;
  constexpr i64 kPiece = 1 << 20;
  for (int i = 0; i < 8; ++i) {
    blocks.push_back(cache.allocate(kPiece));
  }
  const i64 reserved = cache.reserved();
  for (const int i : {3, 1, 0, 2, 7, 5, 4, 6}) {
    cache.free(blocks[i], kPiece);
  }
  std::byte* whole = cache.allocate(8 * kPiece);
  EXPECT_EQ(cache.reserved(), reserved);
  cache.free(whole, 8 * kPiece);
}
#endif

TEST(Memory, BlocksNeverOverlap) {
  BlockCache cache(BlockCache::Kind::kMemory);
  std::mt19937 random(1);
  struct Block {
    std::byte* data;
    i64 bytes;
    std::byte mark;
  };
  std::vector<Block> live;
  for (int round = 0; round < 5000; ++round) {
    if (live.size() < 50 || random() % 2 == 0) {
      const i64 bytes = random() % 8 == 0 ? random() % 200000 : random() % 300;
      std::byte* data = cache.allocate(bytes);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(data) % 64, 0U);
      const auto mark = static_cast<std::byte>(random());
      std::memset(data, static_cast<int>(mark), bytes);
      live.push_back({data, bytes, mark});
    } else {
      std::swap(live[random() % live.size()], live.back());
      const Block b = live.back();
      live.pop_back();
      for (i64 i = 0; i < b.bytes; ++i) {
        ASSERT_EQ(b.data[i], b.mark);
      }
      cache.free(b.data, b.bytes);
    }
  }
  for (const Block& b : live) {
    cache.free(b.data, b.bytes);
  }
}

}  // namespace
}  // namespace inlay
