// SPDX-License-Identifier: Apache-2.0
#include "core/memory/block_cache.h"

// The caching allocator.
//
// Two arenas, small and large blocks apart, so that a long-lived small block cannot split the large
// holes. An arena is one range of addresses, made usable from the bottom up as it grows:
//
//     base                          top                                    limit
//      | used | free | used | free | (untouched addresses, no memory behind)  |
//
// The untouched addresses are reserved, so that nothing else is mapped there. Where the process
// may only have so many (ulimit -v), reserving some for one arena would take them from the other,
// and from stacks and mapped files: then an arena has no more than it has grown to, in a place so
// far from all else that it can go on growing.
//
// Invariants
//   1. Free blocks never touch: neighbours are joined at once, and a free block that ends at `top`
//   stays below it.
//   2. `by_address` and `by_size` hold the same free blocks.
//   3. `top` only rises: pages once touched are recycled, never returned.
// A request takes the smallest free block that fits (the lowest address among equals) and leaves
// the rest free; so the blocks a training step takes are the ones its predecessor gave back. The
// outcome depends on the order of calls alone.

#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "core/address_space.h"
#include "core/error.h"

namespace inlay {
namespace {

constexpr i64 kAlignment = 64;          // a cache line, and an AVX-512 vector
constexpr i64 kLargeBlock = 64 << 10;   // from here on a block comes from the large arena
constexpr i64 kGrowth = 2 << 20;        // an arena grows by whole huge pages
constexpr i64 kReserve = i64{1} << 42;  // addresses to ask for; they cost nothing until touched

i64 rounded_up(i64 value, i64 unit) {
  return (value + unit - 1) / unit * unit;
}

/// Memory and swap of the machine, in bytes.
i64 machine_memory() {
  static const i64 bytes = [] {
    struct sysinfo info {};
    return sysinfo(&info) == 0 ? static_cast<i64>(info.totalram + info.totalswap) * info.mem_unit
                               : INT64_MAX;
  }();
  return bytes;
}

MemoryError beyond_machine(i64 more, i64 used) {
  return MemoryError(str("out of memory: ", more, " bytes more are needed, ", used,
                         " are in use or cached, and the machine has ", machine_memory()));
}

/// Throws MemoryError when `more` bytes beside `used` ones are beyond the machine. The system
/// itself grants addresses whatever their size, and ends the process when they are filled.
void require_machine_has(i64 more, i64 used) {
  if (more > machine_memory() - used) {
    throw beyond_machine(more, used);
  }
}

/// The `number`th place, from 0, for an arena that reserves nothing: below the addresses that the
/// system gives out from the top down (or the bottom up), with a thousand times the room of any
/// machine's memory between them.
std::byte* distant_place(int number) {
  constexpr i64 kPlaces = 32;
  // Mapped once and given back: tells where the system puts things.
  void* const near = mmap(nullptr, kGrowth, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (near == MAP_FAILED) {
    return nullptr;
  }
  munmap(near, kGrowth);
  const i64 address = reinterpret_cast<i64>(near);
  const i64 place = address - (number + 1) * (address / kPlaces);
  // A place to ask mmap for, not memory of anyone's yet.
  const i64 begin = place / kGrowth * kGrowth;
  return reinterpret_cast<std::byte*>(begin);  // NOLINT(performance-no-int-to-ptr)
}

class Arena {
 public:
  /// A planned one gives addresses of which hardly any are touched, so the machine need not have
  /// them. `number` keeps the arenas' places apart.
  Arena(bool planned, int number) : planned_(planned), number_(number) {}
  ~Arena() {
    if (range_bytes_ > 0) {
      munmap(range_, range_bytes_);
    }
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* allocate(i64 bytes) {
    const std::lock_guard lock(mutex_);
    // The smallest that fits; among equals the null address makes it the lowest.
    auto fit = by_size_.lower_bound({bytes, nullptr});
    if (fit == by_size_.end()) {
      grow(bytes);
      fit = by_size_.lower_bound({bytes, nullptr});
    }
    const auto [size, address] = *fit;
    remove(address, size);
    if (size > bytes) {
      insert(address + bytes, size - bytes);
    }
    return address;
  }

  void free(std::byte* block, i64 bytes) {
    const std::lock_guard lock(mutex_);
    std::byte* address = block;
    // Joined with the free block behind, then with the one before (invariant 1).
    const auto above = by_address_.lower_bound(address);
    if (above != by_address_.end() && above->first == address + bytes) {
      bytes += above->second;
      remove(above->first, above->second);
    }
    const auto next = by_address_.lower_bound(address);
    if (next != by_address_.begin()) {
      const auto [start, size] = *std::prev(next);
      if (start + size == address) {
        remove(start, size);
        address = start;
        bytes += size;
      }
    }
    insert(address, bytes);
  }

  i64 reserved() {
    const std::lock_guard lock(mutex_);
    return top_ - base_;
  }

 private:
  void insert(std::byte* address, i64 bytes) {
    by_address_.emplace(address, bytes);
    by_size_.emplace(bytes, address);
  }
  void remove(std::byte* address, i64 bytes) {
    by_address_.erase(address);
    by_size_.erase({bytes, address});
  }

  // Gives the arena its place.
  void settle() {
    if (!addresses_left()) {
      // Without access and without a reservation of swap, addresses cost nothing.
      void* range = mmap(nullptr, kReserve + kGrowth, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      reserved_ = range != MAP_FAILED;
      if (reserved_) {
        // Whole huge pages need a base that is a multiple of their size.
        const i64 skip =
            rounded_up(reinterpret_cast<i64>(range), kGrowth) - reinterpret_cast<i64>(range);
        range_ = range;
        range_bytes_ = kReserve + kGrowth;
        base_ = top_ = static_cast<std::byte*>(range) + skip;
        limit_ = base_ + kReserve;
        return;
      }
    }
    range_ = base_ = top_ = distant_place(number_);
    limit_ = base_ == nullptr ? nullptr : base_ + kReserve;
  }

  // Makes `more` bytes from the top on usable. False where the system refuses.
  bool take(i64 more) {
    if (more > limit_ - top_) {
      return false;
    }
    if (reserved_) {
      return mprotect(top_, more, PROT_READ | PROT_WRITE) == 0;
    }
    void* taken = mmap(top_, more, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (taken == MAP_FAILED) {
      return false;
    }
    if (taken != top_) {  // a kernel that takes the place for a mere hint
      munmap(taken, more);
      return false;
    }
    range_bytes_ += more;
    return true;
  }

  // Makes room for `bytes` at the top, counting a free block that already ends there.
  void grow(i64 bytes) {
    if (base_ == nullptr) {
      settle();
    }
    // A free block at the top grows, or a new one would be beside it (invariant 1).
    i64 tail = 0;
    if (!by_address_.empty()) {
      const auto [start, size] = *by_address_.rbegin();
      tail = start + size == top_ ? size : 0;
    }
    const i64 more = rounded_up(bytes - tail, kGrowth);
    const i64 used = top_ - base_;
    // A rehearsal touches none of its addresses: it may ask for more than there is, and say so.
    if (!planned_) {
      require_machine_has(more, used);
    }
    if (!take(more)) {
      throw planned_ && more > machine_memory() - used
          ? beyond_machine(more, used)
          : MemoryError(str("out of memory: the system refuses ", more, " bytes more (", used,
                            " bytes are in use or cached; see ulimit -v)"));
    }
    if (!planned_) {
      madvise(top_, more, MADV_HUGEPAGE);  // advice: nothing depends on its being taken
    }
    std::byte* start = top_ - tail;
    if (tail > 0) {
      remove(start, tail);
    }
    top_ += more;
    insert(start, tail + more);
  }

  const bool planned_;
  const int number_;
  std::mutex mutex_;
  void* range_ = nullptr;  // what is mapped, and how much of it
  i64 range_bytes_ = 0;
  bool reserved_ = false;  // all of it from the start
  std::byte* base_ = nullptr;
  std::byte* top_ = nullptr;
  std::byte* limit_ = nullptr;
  std::map<std::byte*, i64> by_address_;
  std::set<std::pair<i64, std::byte*>> by_size_;
};

}  // namespace

// Never changed in size: an arena's mutex must not move.
struct BlockCache::Arenas {
  explicit Arenas(bool planned)
      : small(planned, planned ? 2 : 0), large(planned, planned ? 3 : 1) {}
  Arena& of(i64 bytes) { return bytes < kLargeBlock ? small : large; }
  Arena small, large;
};

BlockCache::BlockCache(Kind kind) : arenas_(std::make_unique<Arenas>(kind == Kind::kAddresses)) {}
BlockCache::~BlockCache() = default;

std::byte* BlockCache::allocate(i64 bytes) {
  const i64 size = rounded_up(bytes > 0 ? bytes : 1, kAlignment);
  return arenas_->of(size).allocate(size);
}

void BlockCache::free(std::byte* block, i64 bytes) noexcept {
  const i64 size = rounded_up(bytes > 0 ? bytes : 1, kAlignment);
  arenas_->of(size).free(block, size);
}

i64 BlockCache::reserved() const {
  return arenas_->small.reserved() + arenas_->large.reserved();
}

}  // namespace inlay
