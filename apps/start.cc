// SPDX-License-Identifier: Apache-2.0
#include "apps/start.h"

#include <fcntl.h>
#include <malloc.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/address_space.h"
#include "core/threads.h"
#include "core/types.h"

namespace inlay {
namespace {

// What a computing thread needs for its tiles, several times over, and no more than a system with
// a hundred processors can give each of its threads where addresses are limited.
constexpr i64 kThreadStack = 1 << 20;
// The command itself also parses: nested JSON, templates and patterns, to the depth their limits
// allow.
constexpr i64 kMainStack = 8 << 20;
constexpr i64 kMinMainStack = 2 << 20;

void open_stream(int descriptor, int flags) {
  if (::fcntl(descriptor, F_GETFD) != -1) {
    return;
  }
  int opened = ::open("/dev/null", flags);
  if (opened == -1) {
    opened = ::open("/", O_RDONLY);  // a place without devices; neither read nor written, either
  }
  if (opened != -1 && opened != descriptor) {
    ::dup2(opened, descriptor);
    ::close(opened);
  }
}

// Where OMP_PROC_BIND and the like are set, libgomp has bound this thread to one processor by now,
// and with it every thread of a program that is started in its place.
void free_thread() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> processors(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, processors.data());
    for (const int processor : processors) {
      CPU_SET(static_cast<std::size_t>(processor), &all);
    }
  }
  if (CPU_COUNT(&all) > 0) {
    sched_setaffinity(0, sizeof all, &all);
  }
}

bool is_set(const char* name) {
  return std::getenv(name) != nullptr;
}

}  // namespace

void open_standard_streams() {
  open_stream(STDIN_FILENO, O_WRONLY);
  open_stream(STDOUT_FILENO, O_RDONLY);
  open_stream(STDERR_FILENO, O_WRONLY);
}

void settle_environment(char** argv) {
  bool changed = false;
  // libgomp's threads wait for one another by spinning, for about 20 ms. Where another program
  // wants the processors too, a spinning thread holds back the one it waits for: beside two busy
  // programs a training step took 15 times as long. After half a millisecond they are to sleep.
  if (!is_set("GOMP_SPINCOUNT") && !is_set("OMP_WAIT_POLICY")) {
    setenv("GOMP_SPINCOUNT", "10000", 1);
    changed = true;
  }
  // By default a thread's stack is as large as the main one may become (ulimit -s), which can be
  // too little for a tile, or 8 MB of the addresses there are for each of many threads.
  const bool limited = addresses_left().has_value() && !is_set("OMP_STACKSIZE");
  if (thread_stack_bytes() < kThreadStack || (limited && thread_stack_bytes() > kThreadStack)) {
    setenv("OMP_STACKSIZE", (std::to_string(kThreadStack) + "B").c_str(), 1);
    changed = true;
  }
  if (changed) {
    free_thread();
    execv("/proc/self/exe", argv);  // returns only when it cannot: then it goes on as it is
  }
  if (addresses_left()) {
    mallopt(M_ARENA_MAX, 1);  // each thread's own arena would take 64 MB of addresses
  }
}

int on_enough_stack(FunctionRef<int()> body) {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur >= static_cast<rlim_t>(kMinMainStack)) {
    return body();
  }
  struct Call {
    FunctionRef<int()> body;
    sigset_t signals;
    int result = 0;
  } call{body, {}, 0};
  const auto run = [](void* data) -> void* {
    auto* c = static_cast<Call*>(data);
    pthread_sigmask(SIG_SETMASK, &c->signals, nullptr);
    c->result = c->body();
    return nullptr;
  };
  // Signals are for the thread that works: a handler that ends the process stops it where it is.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &call.signals);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kMainStack);
  pthread_t thread{};
  const bool started = pthread_create(&thread, &attributes, run, &call) == 0;
  pthread_attr_destroy(&attributes);
  if (!started) {  // no second thread, or no addresses for it: then the small stack has to do
    pthread_sigmask(SIG_SETMASK, &call.signals, nullptr);
    return body();
  }
  pthread_join(thread, nullptr);
  return call.result;
}

}  // namespace inlay
