// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "core/backend/backend.h"
#include "tests/support/fence.h"

// INLAY_TEST_BACKEND=fence runs the tests over the fence (fence.h) in place of the processor.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const char* name = std::getenv("INLAY_TEST_BACKEND");
  std::unique_ptr<inlay::UseBackend> use;
  if (name != nullptr && std::string_view(name) == "fence") {
    use = std::make_unique<inlay::UseBackend>(inlay::fence_backend());
  }
  return RUN_ALL_TESTS();
}
