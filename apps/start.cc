// SPDX-License-Identifier: Apache-2.0
#include "apps/start.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/address_space.h"
#include "core/types.h"

namespace inlay {
namespace {

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

}  // namespace

void open_standard_streams() {
  open_stream(STDIN_FILENO, O_WRONLY);
  open_stream(STDOUT_FILENO, O_RDONLY);
  open_stream(STDERR_FILENO, O_WRONLY);
}

void spare_addresses() {
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
