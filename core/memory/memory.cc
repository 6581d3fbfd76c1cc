// SPDX-License-Identifier: Apache-2.0
#include "core/memory/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>

#include "core/memory/planned_memory.h"

namespace inlay {
namespace {

struct Books {
  std::mutex mutex;
  MemoryReport current;
  MemoryReport peak;
  i64 current_total = 0;
  i64 peak_total = 0;
};

struct PlannedBooks : Books {
  std::map<const void*, i64> mapped;
};

std::unique_ptr<PlannedBooks>& planned_books() {
  static std::unique_ptr<PlannedBooks> books;
  return books;
}

Books& books() {
  static Books real;
  return planned_books() ? *planned_books() : real;
}

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

MemoryReport current_memory() {
  const std::lock_guard lock(books().mutex);
  return books().current;
}

MemoryReport peak_memory() {
  const std::lock_guard lock(books().mutex);
  return books().peak;
}

void reset_peak_memory() {
  const std::lock_guard lock(books().mutex);
  books().peak = books().current;
  books().peak_total = books().current_total;
}

void book_memory(MemoryClass memory_class, i64 delta) {
  Books& b = books();
  const std::lock_guard lock(b.mutex);
  b.current.bytes[static_cast<int>(memory_class)] += delta;
  b.current_total += delta;
  if (b.current_total > b.peak_total) {
    b.peak_total = b.current_total;
    b.peak = b.current;
  }
}

void begin_planned_books() {
  planned_books() = std::make_unique<PlannedBooks>();
}

void end_planned_books() {
  planned_books().reset();
}

void note_mapped(const void* begin, i64 bytes) {
  if (planned_books()) {
    i64& noted = planned_books()->mapped[begin];
    noted = std::max(noted, bytes);
  }
}

i64 mapped_memory() {
  i64 sum = 0;
  if (planned_books()) {
    for (const auto& [begin, bytes] : planned_books()->mapped) {
      sum += bytes;
    }
  }
  return sum;
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
