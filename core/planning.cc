// SPDX-License-Identifier: Apache-2.0
#include "core/planning.h"

#include <atomic>

namespace inlay {
namespace {

std::atomic<bool> rehearsing{false};

}  // namespace

bool planning() {
  return rehearsing.load(std::memory_order_relaxed);
}

void set_planning(bool on) {
  rehearsing = on;
}

}  // namespace inlay
