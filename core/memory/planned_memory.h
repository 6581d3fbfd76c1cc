// SPDX-License-Identifier: Apache-2.0
#pragma once

// For Planning: between these, the functions of memory.h, but those on the resident set, speak of
// other books, and of blocks that are addresses alone.
namespace inlay {

void begin_planned_books();
void end_planned_books();
void begin_planned_blocks();
void end_planned_blocks();

}  // namespace inlay
