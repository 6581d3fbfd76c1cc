// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>

#include "core/backend/backend.h"
#include "core/memory/block_cache.h"

namespace inlay {

/// The backend that only counts: a rehearsal of work for the memory it would take. The work's own
/// code runs on tensors that are addresses with nothing behind them, booked here; kernels that do
/// work do nothing, and questions get the answers of the device that is rehearsed. What is copied
/// out of it is zeros: values are meaningless, shapes, lifetimes and the order of allocations are
/// the real ones, for they never depend on values.
///
/// Bytes of the host stay where they are, unread, where the rehearsed device would leave them.
/// Tensors made in a rehearsal must be gone when it ends.
class RehearsalBackend final : public Backend {
 public:
  /// Of the processor, whose blocks are recycled as here.
  RehearsalBackend();
  ~RehearsalBackend() override;

  std::byte* allocate(i64 bytes) override { return cache_.allocate(bytes); }
  void release(std::byte* block, i64 bytes) noexcept override { cache_.free(block, bytes); }
  i64 reserved() const override { return cache_.reserved(); }

  bool host_may_touch() const override { return false; }
  bool reads_host_bytes() const override { return true; }
  void note_host_bytes(std::span<const std::byte> bytes) override;
  /// Bytes of the host that tensors showed, each piece once.
  i64 host_bytes() const;

  void copy_in(std::byte* /*to*/, std::span<const std::byte> /*from*/) override {}
  void copy_out(std::span<std::byte> to, const std::byte* from) override;
  void synchronise() override {}

 private:
  BlockCache cache_;
  std::map<const std::byte*, i64> host_bytes_;
};

}  // namespace inlay
