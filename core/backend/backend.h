// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/backend/kernels.h"
#include "core/memory/memory.h"
#include "core/types.h"

/// A device: its memory, and the kernels that run on it. Tensors lie in the memory of one backend
/// (core/tensor/storage.h), operations ask the backend of their tensors for kernels, and nobody
/// else knows which device there is.
namespace inlay {

class Backend {
 public:
  Backend(std::string name, const Kernels& kernels) : name_(std::move(name)), kernels_(kernels) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  const std::string& name() const { return name_; }
  const Kernels& kernels() const { return kernels_; }
  MemoryBooks& books() { return books_; }

  /// Memory of the device, aligned to 64 bytes; contents are undefined. Throws MemoryError.
  virtual std::byte* allocate(i64 bytes) = 0;
  virtual void release(std::byte* block, i64 bytes) noexcept = 0;
  /// Bytes held from the system for `allocate`, in use or not.
  virtual i64 reserved() const = 0;

  /// Whether the host may read and write the device's memory under the same addresses.
  virtual bool host_may_touch() const = 0;
  /// Whether the device can read bytes of the host, such as a mapped file's, where they are. Then
  /// `note_host_bytes` tells of each piece that a tensor is about to show.
  virtual bool reads_host_bytes() const = 0;
  virtual void note_host_bytes(std::span<const std::byte> /*bytes*/) {}

  /// To and from the host. When they return, all work that was asked for before is done as far as
  /// the bytes show.
  virtual void copy_in(std::byte* to, std::span<const std::byte> from) = 0;
  virtual void copy_out(std::span<std::byte> to, const std::byte* from) = 0;
  /// Returns when all work is done.
  virtual void synchronise() = 0;

 private:
  std::string name_;
  Kernels kernels_;
  MemoryBooks books_;
};

/// The processor and its memory. Its blocks are recycled (core/memory/block_cache.h).
Backend& cpu_backend();

/// Where this thread's new tensors go: cpu_backend(), or what the innermost UseBackend says.
Backend& current_backend();

class UseBackend {
 public:
  /// `backend` must outlive this object.
  explicit UseBackend(Backend& backend);
  ~UseBackend();
  UseBackend(const UseBackend&) = delete;
  UseBackend& operator=(const UseBackend&) = delete;

 private:
  Backend* previous_;
};

/// The kernels of the current backend, for questions about what is to be made.
inline const Kernels& current_kernels() {
  return current_backend().kernels();
}

/// What is booked on the current backend (core/memory/memory.h).
MemoryReport current_memory();
MemoryReport peak_memory();
void reset_peak_memory();
/// Bytes that it holds from the system for tensors, in use or free.
i64 reserved_memory();

}  // namespace inlay
