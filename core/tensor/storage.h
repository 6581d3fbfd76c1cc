// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/backend/backend.h"
#include "core/types.h"

namespace inlay {

/// The bytes behind tensors, in the memory of one backend: a block of its own, or a read-only piece
/// of something else, such as a mapped file. Booked there under a memory class from birth to death.
class Storage {
 public:
  /// Uninitialised bytes of the current backend, under the current memory class.
  static std::shared_ptr<Storage> allocate(i64 bytes);
  /// Read-only bytes of the host that `owner` keeps alive, booked under kWeights: where they are if
  /// the current backend can read them there, else copied to it.
  static std::shared_ptr<Storage> borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner);

  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Backend& backend() const { return backend_; }
  /// An address of the backend's memory.
  std::byte* data() { return data_; }
  i64 bytes() const { return bytes_; }
  bool read_only() const { return read_only_; }
  MemoryClass memory_class() const { return class_; }
  /// Books these bytes under another class from now on.
  void set_memory_class(MemoryClass memory_class);

 private:
  Storage(Backend& backend, std::byte* data, i64 bytes, MemoryClass memory_class,
          std::shared_ptr<const void> owner);

  Backend& backend_;
  std::byte* data_;
  i64 bytes_;
  MemoryClass class_;
  std::shared_ptr<const void> owner_;  // null where the bytes are the storage's own
  bool read_only_;
};

}  // namespace inlay
