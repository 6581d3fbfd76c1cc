// SPDX-License-Identifier: Apache-2.0
#include "core/parallel.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
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

}  // namespace
}  // namespace inlay
