// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "core/types.h"

namespace inlay {

/// 64-byte-aligned memory from a cache that recycles freed blocks and never hands pages back to the
/// system: a product written to fresh pages runs a quarter slower. Contents are undefined. From any
/// thread.
class BlockCache {
 public:
  enum class Kind : u8 {
    kMemory,
    kAddresses,  // the same addresses in the same order, with nothing to be written behind them:
                 // they may be more than the machine has
  };
  explicit BlockCache(Kind kind);
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  /// Throws MemoryError when the system has no more.
  std::byte* allocate(i64 bytes);
  void free(std::byte* block, i64 bytes) noexcept;
  /// Bytes the cache holds from the system, in use or free.
  i64 reserved() const;

 private:
  struct Arenas;
  std::unique_ptr<Arenas> arenas_;
};

}  // namespace inlay
