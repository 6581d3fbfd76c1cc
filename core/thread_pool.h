// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/parallel.h"
#include "core/types.h"

/// The threads that work beside the one that calls parallel_for. They are started when they are
/// first wanted and stay until the process ends.
///
/// A region is over when its tasks are done, not when its threads have arrived: one that the system
/// has not woken yet finds nothing left to do, and nobody waits for it. Between regions threads look
/// out for the next one for a moment, then sleep: where another program wants the processors, too,
/// a thread that spins holds back the one it waits for.
namespace inlay {

/// Runs task(0) … task(count - 1) on this thread and at most `threads - 1` others. The tasks are
/// divided into as many ranges as there are threads; each works through its own before it takes from
/// others', so that work split alike in one region after the other mostly stays with one thread, in
/// its caches. Tasks throw nothing.
/// False, and nothing is run, while the threads are busy with another caller's region.
bool run_on_threads(i64 count, int threads, FunctionRef<void(i64 task)> task);

/// In a task of run_on_threads: which of the threads this is, from 0 on; else -1.
int pool_thread();

}  // namespace inlay
