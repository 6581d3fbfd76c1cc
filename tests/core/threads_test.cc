// SPDX-License-Identifier: Apache-2.0
#include "core/threads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "core/address_space.h"
#include "core/memory/block_cache.h"
#include "core/parallel.h"
#include "tests/support/memory_limit.h"

namespace inlay {
namespace {

TEST(Threads, AllCanBeStartedWhereThereIsNoLimit) {
  EXPECT_EQ(startable_threads(1), 1);
  EXPECT_EQ(startable_threads(5), 5);
}

TEST(Threads, TheirStacksTakeNoMoreThanAnEighthOfTheAddressesLeft) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need more addresses than a limit leaves";
#endif
  const MemoryLimit limit(20 * thread_stack_bytes());
  ASSERT_TRUE(addresses_left().has_value());
  EXPECT_LE(*addresses_left(), 20 * thread_stack_bytes());
  EXPECT_EQ(startable_threads(100), 3);
  EXPECT_EQ(startable_threads(2), 2);
}

TEST(Threads, MoreThanWereEverStartedAreTriedBeforeTheyAreUsed) {
  const int before = num_threads();
  set_num_threads(7);
  EXPECT_EQ(num_threads(), 7);
  EXPECT_EQ(refused_threads(), 0);
  set_num_threads(2);
  EXPECT_EQ(num_threads(), 2);
  set_num_threads(before);
}

// Blocks of both sizes, up to what the limit leaves, whatever it is.
TEST(AddressSpace, WhatFitsUnderALimitIsGranted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers need more addresses than a limit leaves";
#endif
  // The arenas of this process may have been reserved before, so it is a fresh one that asks.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr i64 kMaxBlockBytes = 1 << 30;  // of any machine's memory
  for (const i64 megabytes : {64, 300, 1000, 4500, 17'200, 68'600}) {
    EXPECT_EXIT(
        {
          const MemoryLimit limit(megabytes << 20);
          BlockCache cache(BlockCache::Kind::kMemory);
          std::byte* small = cache.allocate(100);
          const i64 bytes = std::min(kMaxBlockBytes, (megabytes << 20) / 2);
          std::byte* large = cache.allocate(bytes);
          small[0] = large[0] = std::byte{1};
          cache.free(large, bytes);
          std::exit(0);
        },
        ::testing::ExitedWithCode(0), "")
        << megabytes;
  }
}

}  // namespace
}  // namespace inlay
