// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/storage.h"

#include <utility>

namespace inlay {

Storage::Storage(Backend& backend, std::byte* data, i64 bytes, MemoryClass memory_class,
                 std::shared_ptr<const void> owner)
    : backend_(backend),
      data_(data),
      bytes_(bytes),
      class_(memory_class),
      owner_(std::move(owner)),
      read_only_(owner_ != nullptr) {
  backend_.books().book(class_, bytes_);
}

std::shared_ptr<Storage> Storage::allocate(i64 bytes) {
  Backend& backend = current_backend();
  return std::shared_ptr<Storage>(
      new Storage(backend, backend.allocate(bytes), bytes, current_memory_class(), nullptr));
}

std::shared_ptr<Storage> Storage::borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner) {
  Backend& backend = current_backend();
  if (!backend.reads_host_bytes()) {
    const MemoryScope scope(MemoryClass::kWeights);
    std::shared_ptr<Storage> copy = allocate(static_cast<i64>(bytes.size()));
    backend.copy_in(copy->data(), bytes);
    copy->read_only_ = true;
    return copy;
  }
  backend.note_host_bytes(bytes);
  // The constness lives in read_only(): Tensor hands out mutable pointers only where it is false.
  return std::shared_ptr<Storage>(new Storage(backend, const_cast<std::byte*>(bytes.data()),
                                              static_cast<i64>(bytes.size()), MemoryClass::kWeights,
                                              std::move(owner)));
}

Storage::~Storage() {
  backend_.books().book(class_, -bytes_);
  if (owner_ == nullptr) {
    backend_.release(data_, bytes_);
  }
}

void Storage::set_memory_class(MemoryClass memory_class) {
  backend_.books().book(class_, -bytes_);
  class_ = memory_class;
  backend_.books().book(class_, bytes_);
}

}  // namespace inlay
