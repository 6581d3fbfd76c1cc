// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/io/file_system.h"

namespace inlay {

/// A mapped file that never was on a disk. Its bytes are an allocation of exactly their size, so a
/// reader that goes past them is seen by the address sanitizer.
class MemoryFile final : public MappedFile {
 public:
  MemoryFile(std::string path, std::string_view content)
      : MappedFile(std::move(path)), data_(new std::byte[content.size()]) {
    std::copy_n(reinterpret_cast<const std::byte*>(content.data()), content.size(), data_.get());
    bytes_ = {data_.get(), content.size()};
  }
  void will_read_in_order(std::span<const std::byte> /*part*/) const override {}
  void will_need(std::span<const std::byte> /*part*/) const override {}
  void no_longer_needed(std::span<const std::byte> /*part*/) const override {}

 private:
  std::unique_ptr<std::byte[]> data_;
};

inline std::shared_ptr<const MappedFile> memory_file(std::string path, std::string_view content) {
  return std::make_shared<MemoryFile>(std::move(path), content);
}

}  // namespace inlay
