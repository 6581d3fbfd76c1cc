// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>

#include "core/types.h"

namespace inlay {

/// For its lifetime the process may map `bytes` more than it has now; under the sanitizers, which
/// need addresses of their own, as many as it likes.
class MemoryLimit {
 public:
  explicit MemoryLimit(i64 bytes) {
    ::getrlimit(RLIMIT_AS, &before_);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    i64 pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    struct rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(pages * 4096 + bytes);
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
#else
    static_cast<void>(bytes);
#endif
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() {
    ::setrlimit(RLIMIT_AS, &before_);
  }

 private:
  struct rlimit before_ {};
};

}  // namespace inlay
