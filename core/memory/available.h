// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/types.h"

namespace inlay {

/// Bytes that this process could take beside what it has, before the system would have to swap or
/// to end something: the least of what the machine has available and what the limits of the
/// process's control groups (versions 1 and 2) leave. Pages of files that can be dropped count as
/// available. `root` is where /proc and /sys are found. All of i64's range where nothing is known.
i64 available_memory(const std::string& root = "");

/// Bytes of memory the machine has; 0 where that is not known.
i64 machine_memory(const std::string& root = "");

}  // namespace inlay
