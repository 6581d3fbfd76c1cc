// SPDX-License-Identifier: Apache-2.0
#include "core/memory/planning.h"

#include "core/error.h"
#include "core/memory/memory.h"
#include "core/memory/planned_memory.h"

namespace inlay {

Planning::Planning() {
  INLAY_ASSERT(!planning());
  begin_planned_books();
  begin_planned_blocks();
  set_planning(true);
}

Planning::~Planning() {
  set_planning(false);
  INLAY_ASSERT(current_memory().total() == 0);
  end_planned_blocks();
  end_planned_books();
}

}  // namespace inlay
