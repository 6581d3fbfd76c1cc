// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/storage.h"

#include <utility>

namespace inlay {

Storage::Storage(std::byte* data, i64 bytes, MemoryClass memory_class,
                 std::shared_ptr<const void> owner)
    : data_(data), bytes_(bytes), class_(memory_class), owner_(std::move(owner)) {
  book_memory(class_, bytes_);
}

std::shared_ptr<Storage> Storage::allocate(i64 bytes) {
  auto* data = static_cast<std::byte*>(allocate_block(bytes));
  return std::shared_ptr<Storage>(new Storage(data, bytes, current_memory_class(), nullptr));
}

std::shared_ptr<Storage> Storage::borrow(std::span<const std::byte> bytes,
                                         std::shared_ptr<const void> owner) {
  // The constness lives in read_only(): Tensor hands out mutable pointers only where it is false.
  auto* data = const_cast<std::byte*>(bytes.data());
  note_mapped(data, static_cast<i64>(bytes.size()));
  return std::shared_ptr<Storage>(
      new Storage(data, static_cast<i64>(bytes.size()), MemoryClass::kWeights, std::move(owner)));
}

Storage::~Storage() {
  book_memory(class_, -bytes_);
  if (!read_only()) {
    free_block(data_, bytes_);
  }
}

void Storage::set_memory_class(MemoryClass memory_class) {
  book_memory(class_, -bytes_);
  class_ = memory_class;
  book_memory(class_, bytes_);
}

}  // namespace inlay
