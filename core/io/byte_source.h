// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <utility>

#include "core/types.h"

namespace inlay {

class AtomicFile;

/// The bytes of a tensor to be written: there already, or made piece by piece while the file is
/// written, so that a large tensor is never in memory as a whole.
class ByteSource {
 public:
  /// Fills `out` with the bytes from `offset` on. Called from front to back, for pieces of
  /// kPieceBytes and a shorter last one.
  using Fill = std::function<void(i64 offset, std::span<std::byte> out)>;
  static constexpr i64 kPieceBytes = 4 << 20;

  ByteSource() = default;
  /// `data` must outlive the writing.
  ByteSource(std::span<const std::byte> data)  // NOLINT(google-explicit-constructor): a field of
      : data_(data) {}                         // what is to be written, meant to be either
  ByteSource(Fill fill) : fill_(std::move(fill)) {}  // NOLINT(google-explicit-constructor)

  /// Writes `bytes` bytes; data that is there must have that size.
  void write_to(AtomicFile& file, i64 bytes) const;

 private:
  std::span<const std::byte> data_;
  Fill fill_;
};

}  // namespace inlay
