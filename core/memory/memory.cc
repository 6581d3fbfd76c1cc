// SPDX-License-Identifier: Apache-2.0
#include "core/memory/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace inlay {
namespace {

MemoryClass& scope_class() {
  thread_local MemoryClass current = MemoryClass::kActivations;
  return current;
}

}  // namespace

std::string_view memory_class_name(MemoryClass memory_class) {
  constexpr std::array<std::string_view, kMemoryClasses> kNames = {
      "weights", "adapters", "gradients", "optimizer", "activations", "scratch"};
  return kNames[static_cast<int>(memory_class)];
}

i64 MemoryReport::total() const {
  i64 sum = 0;
  for (const i64 b : bytes) {
    sum += b;
  }
  return sum;
}

MemoryReport MemoryBooks::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

MemoryReport MemoryBooks::peak() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

void MemoryBooks::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = current_;
  peak_total_ = current_total_;
}

void MemoryBooks::book(MemoryClass memory_class, i64 delta) {
  const std::lock_guard lock(mutex_);
  current_.bytes[static_cast<int>(memory_class)] += delta;
  current_total_ += delta;
  if (current_total_ > peak_total_) {
    peak_total_ = current_total_;
    // Copied only when the total rises: the classes of the peak are those of one moment.
    peak_ = current_;
  }
}

i64 peak_rss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<i64>(usage.ru_maxrss) * 1024;
}

i64 current_rss() {
  // /proc/self/statm: size and resident, in pages.
  i64 size = 0;
  i64 resident = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(file, "%ld %ld", &size, &resident) !=
        2) {  // NOLINT(cert-err34-c): the kernel's own numbers
      resident = 0;
    }
    std::fclose(file);
  }
  return resident * sysconf(_SC_PAGESIZE);
}

MemoryScope::MemoryScope(MemoryClass memory_class) : previous_(scope_class()) {
  scope_class() = memory_class;
}

MemoryScope::~MemoryScope() {
  scope_class() = previous_;
}

MemoryClass current_memory_class() {
  return scope_class();
}

}  // namespace inlay
