// SPDX-License-Identifier: Apache-2.0
#include "core/threads.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/address_space.h"

namespace inlay {
namespace {

// What a computing thread needs for its tiles, several times over, and no more than a system with
// a hundred processors can give each of its threads where addresses are limited.
constexpr i64 kThreadStack = 1 << 20;

/// Bytes in a text as OMP_STACKSIZE takes it: a number of kilobytes, or of what a letter behind it
/// says. Nothing where OpenMP takes no notice of it either.
std::optional<i64> stack_bytes(const char* text) {
  char* end = nullptr;
  const long long number = std::strtoll(text, &end, 10);
  while (*end == ' ') {
    ++end;
  }
  const std::string unit = end;
  const i64 scale = unit.empty() || unit == "k" || unit == "K" ? i64{1} << 10
                    : unit == "b" || unit == "B"               ? i64{1}
                    : unit == "m" || unit == "M"               ? i64{1} << 20
                    : unit == "g" || unit == "G"               ? i64{1} << 30
                                                               : i64{0};
  i64 bytes = 0;
  if (number <= 0 || scale == 0 ||
      __builtin_mul_overflow(static_cast<i64>(number), scale, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

/// Threads that wait until all of them have been started.
class WaitingThreads {
 public:
  explicit WaitingThreads(int count) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, static_cast<std::size_t>(thread_stack_bytes()));
    // Held while they start, so that none ends before the last one is there: all are alive at once,
    // as those that work will be.
    pthread_mutex_lock(&mutex_);
    pthread_t thread{};
    while (std::ssize(threads_) < count &&
           pthread_create(&thread, &attributes, wait, &mutex_) == 0) {
      threads_.push_back(thread);
    }
    pthread_mutex_unlock(&mutex_);
    pthread_attr_destroy(&attributes);
  }
  WaitingThreads(const WaitingThreads&) = delete;
  WaitingThreads& operator=(const WaitingThreads&) = delete;
  ~WaitingThreads() {
    for (const pthread_t thread : threads_) {
      pthread_join(thread, nullptr);
    }
  }
  int count() const { return static_cast<int>(threads_.size()); }

 private:
  static void* wait(void* mutex) {
    pthread_mutex_lock(static_cast<pthread_mutex_t*>(mutex));
    pthread_mutex_unlock(static_cast<pthread_mutex_t*>(mutex));
    return nullptr;
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::vector<pthread_t> threads_;
};

}  // namespace

i64 thread_stack_bytes() {
  static const i64 bytes = [] {
    const char* text = std::getenv("OMP_STACKSIZE");
    if (const auto set = text == nullptr ? std::nullopt : stack_bytes(text)) {
      return std::max(*set, kThreadStack);
    }
    // As large as the main one may become (ulimit -s): too little for a tile, perhaps, or 8 MB of
    // few addresses for each of many threads.
    pthread_attr_t attributes;
    std::size_t size = 0;
    pthread_getattr_default_np(&attributes);
    pthread_attr_getstacksize(&attributes, &size);
    pthread_attr_destroy(&attributes);
    return addresses_left() ? kThreadStack : std::max(static_cast<i64>(size), kThreadStack);
  }();
  return bytes;
}

int startable_threads(int wanted) {
  // An eighth of the addresses for stacks: the rest is for the model.
  constexpr i64 kPart = 8;
  const std::optional<i64> addresses = addresses_left();
  const i64 most = addresses ? 1 + *addresses / kPart / thread_stack_bytes() : wanted;
  return 1 + WaitingThreads(static_cast<int>(std::min<i64>(wanted, most)) - 1).count();
}

}  // namespace inlay
