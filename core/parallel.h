// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include "core/types.h"

/// Work is split by shape, never by the number of threads: a task is a function of its index alone,
/// so the same bits come out at any thread count. Calls from inside a task run serially.
namespace inlay {

/// A callable passed by reference for the length of a call; never stored.
template <class Signature>
class FunctionRef;

template <class Result, class... Args>
class FunctionRef<Result(Args...)> {
 public:
  template <class Callable,
            class = std::enable_if_t<!std::is_same_v<std::decay_t<Callable>, FunctionRef>>>
  // Implicit: a parameter type, meant to convert.
  FunctionRef(Callable&& callable)  // NOLINT(google-explicit-constructor)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* object, Args... args) -> Result {
          return (*static_cast<std::remove_reference_t<Callable>*>(object))(
              std::forward<Args>(args)...);
        }) {}

  Result operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  Result (*call_)(void*, Args...);
};

/// Sets how many threads `parallel_for` may use (>= 1). Not to be called from inside a task.
void set_num_threads(int count);
int num_threads();

/// How many processors this process may run on.
int available_processors();

/// Runs task(0) … task(count - 1), each once, on any thread, in any order. The first exception
/// thrown is rethrown.
void parallel_for(i64 count, FunctionRef<void(i64 task)> task);

/// The index of the calling thread inside a parallel_for, in [0, num_threads()): for scratch memory
/// only, never for results.
int thread_index();

/// Splits [0, rows) into pieces of `grain` rows (the last may be short) and runs body(begin, end)
/// for each.
void parallel_rows(i64 rows, i64 grain, FunctionRef<void(i64 begin, i64 end)> body);

}  // namespace inlay
