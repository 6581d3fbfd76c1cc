// SPDX-License-Identifier: Apache-2.0
#include "core/address_space.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace inlay {

std::optional<i64> addresses_left() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return std::nullopt;
  }
  i64 pages = 0;
  std::ifstream("/proc/self/statm") >> pages;  // 0 where there is none: then all seems left
  return std::max<i64>(0, static_cast<i64>(std::min<rlim_t>(limit.rlim_cur, INT64_MAX)) -
                              pages * ::sysconf(_SC_PAGESIZE));
}

}  // namespace inlay
