// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/memory/memory.h"
#include "core/types.h"

namespace inlay {

/// The bytes behind tensors: a block from the cache, or a read-only piece of something else, such
/// as a mapped file. Booked under a memory class from birth to death.
class Storage {
 public:
  /// Uninitialised bytes under the current memory class.
  static std::shared_ptr<Storage> allocate(i64 bytes);
  /// Read-only bytes that `owner` keeps alive, booked under kWeights.
  static std::shared_ptr<Storage> borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner);

  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() { return data_; }
  i64 bytes() const { return bytes_; }
  bool read_only() const { return owner_ != nullptr; }
  MemoryClass memory_class() const { return class_; }
  /// Books these bytes under another class from now on.
  void set_memory_class(MemoryClass memory_class);

 private:
  Storage(std::byte* data, i64 bytes, MemoryClass memory_class, std::shared_ptr<const void> owner);

  std::byte* data_;
  i64 bytes_;
  MemoryClass class_;
  std::shared_ptr<const void> owner_;
};

}  // namespace inlay
