// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <mutex>
#include <string_view>

#include "core/types.h"

/// Where the bytes are. Every tensor is booked under a class; current and peak bytes can be read at
/// any time.
namespace inlay {

enum class MemoryClass : u8 { kWeights, kAdapters, kGradients, kOptimizer, kActivations, kScratch };
inline constexpr int kMemoryClasses = 6;

/// "weights", "adapters", ...
std::string_view memory_class_name(MemoryClass memory_class);

/// Bytes by class. A memory-mapped weight counts under kWeights, once, as its bytes in the file.
struct MemoryReport {
  std::array<i64, kMemoryClasses> bytes{};
  i64 total() const;
  i64 operator[](MemoryClass memory_class) const { return bytes[static_cast<int>(memory_class)]; }
};

/// The books of one device.
class MemoryBooks {
 public:
  /// What is held now, and what was held when the total was highest since `reset_peak`.
  MemoryReport current() const;
  MemoryReport peak() const;
  void reset_peak();
  /// Books `delta` bytes (negative: gives them back) without allocating anything.
  void book(MemoryClass memory_class, i64 delta);

 private:
  mutable std::mutex mutex_;
  MemoryReport current_, peak_;
  i64 current_total_ = 0, peak_total_ = 0;
};

/// Highest resident set of this process so far, in bytes, as the kernel counts it.
i64 peak_rss();
i64 current_rss();

/// While it lives, tensors this thread makes are booked under `memory_class`. Without one:
/// kActivations.
class MemoryScope {
 public:
  explicit MemoryScope(MemoryClass memory_class);
  ~MemoryScope();
  MemoryScope(const MemoryScope&) = delete;
  MemoryScope& operator=(const MemoryScope&) = delete;

 private:
  MemoryClass previous_;
};
MemoryClass current_memory_class();

}  // namespace inlay
