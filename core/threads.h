// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/types.h"

/// What a system with limits lets a program have of threads (ulimit -u, -v and -s, or a container's
/// own).
namespace inlay {

/// Stack of each thread that computes, in bytes: as OMP_STACKSIZE or else the system has it, but
/// enough; and no more than enough where addresses are limited.
i64 thread_stack_bytes();

/// How many threads can run at once, this one among them: `wanted`, or fewer where the system
/// starts no more, or where their stacks would take more than an eighth of the addresses left.
/// Found by starting them.
int startable_threads(int wanted);

/// Threads that were asked for with set_num_threads, last, and cannot be started.
int refused_threads();

}  // namespace inlay
