// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
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

/// What is held now, and what was held when the total was highest since `reset_peak_memory`.
MemoryReport current_memory();
MemoryReport peak_memory();
void reset_peak_memory();

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

/// Books `delta` bytes (negative: gives them back) without allocating anything.
void book_memory(MemoryClass memory_class, i64 delta);

/// 64-byte-aligned memory from a cache that recycles freed blocks and never hands pages back to the
/// system: a product written to fresh pages runs a quarter slower. Contents are undefined. Throws
/// MemoryError when the system has no more.
void* allocate_block(i64 bytes);
void free_block(void* block, i64 bytes) noexcept;

/// Bytes the cache holds from the system, in use or free.
i64 reserved_memory();

/// Notes bytes of a mapped file that a tensor is about to show.
void note_mapped(const void* begin, i64 bytes);
/// Bytes of mapped files that were noted in the rehearsal that now is (planning.h).
i64 mapped_memory();

}  // namespace inlay
