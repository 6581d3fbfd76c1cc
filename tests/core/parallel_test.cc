// SPDX-License-Identifier: Apache-2.0
#include "core/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace inlay {
namespace {

class Parallel : public ::testing::Test {
 protected:
  void TearDown() override { set_num_threads(available_processors()); }
};

TEST_F(Parallel, RunsEveryTaskOnceAtAnyThreadCount) {
  for (const int threads : {1, 2, 4, 7}) {
    set_num_threads(threads);
    std::vector<int> seen(1000, 0);
    parallel_for(1000, [&](i64 i) { seen[i] += 1; });
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 1000);
    EXPECT_EQ(*std::min_element(seen.begin(), seen.end()), 1);
  }
}

TEST_F(Parallel, NestedCallsRunSerially) {
  set_num_threads(4);
  std::vector<int> seen(64, 0);
  parallel_for(8, [&](i64 i) { parallel_for(8, [&](i64 j) { seen[i * 8 + j] += 1; }); });
  EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), 64);
}

TEST_F(Parallel, RethrowsWhatATaskThrew) {
  set_num_threads(2);
  EXPECT_THROW(parallel_for(100,
                            [](i64 i) {
                              if (i == 37) {
                                throw std::runtime_error("37");
                              }
                            }),
               std::runtime_error);
}

TEST_F(Parallel, ManyRegionsOfAnySizeLoseNoTask) {
  set_num_threads(4);
  std::vector<int> seen(300);
  for (i64 region = 0; region < 20'000; ++region) {
    const i64 count = region % 37 == 0 ? 300 : region % 9;
    std::fill(seen.begin(), seen.end(), 0);
    parallel_for(count, [&](i64 i) { seen[i] += 1; });
    ASSERT_EQ(std::accumulate(seen.begin(), seen.end(), i64{0}), count) << region;
    ASSERT_LE(*std::max_element(seen.begin(), seen.end()), 1) << region;
  }
}

TEST_F(Parallel, CallersDoNotWaitForOneAnother) {
  set_num_threads(3);
  // Neither region can end before the other has begun.
  std::atomic<int> begun{0};
  const auto caller = [&] {
    parallel_for(3, [&](i64 i) {
      if (i == 0) {
        begun += 1;
        while (begun < 2) {
          std::this_thread::yield();
        }
      }
    });
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(begun, 2);
}

TEST_F(Parallel, IndicesOfThreadsAreBelowTheirNumber) {
  set_num_threads(7);
  parallel_for(50, [](i64) {});
  set_num_threads(3);
  std::atomic<int> most{0};
  for (int region = 0; region < 1000; ++region) {
    parallel_for(50, [&](i64) {
      int seen = most;
      while (seen < thread_index() && !most.compare_exchange_weak(seen, thread_index())) {
      }
    });
  }
  EXPECT_LT(most, 3);
  EXPECT_EQ(thread_index(), 0);
}

TEST_F(Parallel, RowPiecesCoverTheRangeWhateverTheGrain) {
  for (const i64 rows : {0, 1, 7, 8, 9}) {
    std::vector<int> seen(rows, 0);
    parallel_rows(rows, 8, [&](i64 begin, i64 end) {
      for (i64 r = begin; r < end; ++r) {
        seen[r] += 1;
      }
    });
    EXPECT_EQ(std::accumulate(seen.begin(), seen.end(), 0), rows);
  }
}

// Faults reach the handler that names the file; all else goes to the thread that began.
TEST_F(Parallel, OtherThreadsTakeFaultsAndNoOtherSignals) {
  set_num_threads(4);
  std::atomic<int> others{0};
  for (int round = 0; round < 100 && others == 0; ++round) {
    parallel_for(64, [&](i64 /*task*/) {
      if (thread_index() == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));  // leaves some to the others
        return;
      }
      sigset_t blocked;
      pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
      EXPECT_EQ(sigismember(&blocked, SIGINT), 1);
      EXPECT_EQ(sigismember(&blocked, SIGTERM), 1);
      EXPECT_EQ(sigismember(&blocked, SIGBUS), 0);
      EXPECT_EQ(sigismember(&blocked, SIGSEGV), 0);
      others += 1;
    });
  }
  EXPECT_GT(others, 0);
}

}  // namespace
}  // namespace inlay
