// SPDX-License-Identifier: Apache-2.0

// The processor's backend: functions of core/kernels/cpu, and blocks of the process's memory.

#include <cstdlib>
#include <cstring>

#include "core/backend/backend.h"
#include "core/error.h"
#include "core/memory/block_cache.h"

namespace inlay {
namespace {

const Kernels kKernels = {
// NOLINTNEXTLINE(bugprone-macro-parentheses): names stand in no parentheses
#define INLAY_KERNEL(entry, declared) .entry = declared,
#include "core/backend/kernels.inc"
#undef INLAY_KERNEL
};

class CpuBackend final : public Backend {
 public:
  CpuBackend() : Backend("cpu", kKernels), cache_(BlockCache::Kind::kMemory) {}

#if defined(__SANITIZE_ADDRESS__)
  // Under the address sanitizer every block is its own, so that a step over its end is seen.
  std::byte* allocate(i64 bytes) override {
    constexpr i64 kAlignment = 64;
    void* block = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    if (block == nullptr) {
      throw MemoryError(str("out of memory: the system refuses ", bytes, " bytes"));
    }
    return static_cast<std::byte*>(block);
  }
  void release(std::byte* block, i64 /*bytes*/) noexcept override {
    std::free(block);
  }
  i64 reserved() const override {
    return 0;
  }
#else
  std::byte* allocate(i64 bytes) override {
    return cache_.allocate(bytes);
  }
  void release(std::byte* block, i64 bytes) noexcept override {
    cache_.free(block, bytes);
  }
  i64 reserved() const override {
    return cache_.reserved();
  }
#endif

  bool host_may_touch() const override {
    return true;
  }
  bool reads_host_bytes() const override {
    return true;
  }
  void copy_in(std::byte* to, std::span<const std::byte> from) override {
    std::memcpy(to, from.data(), from.size());
  }
  void copy_out(std::span<std::byte> to, const std::byte* from) override {
    std::memcpy(to.data(), from, to.size());
  }
  void synchronise() override {}  // kernels return when they are done

 private:
  BlockCache cache_;
};

}  // namespace

Backend& cpu_backend() {
  // Never destroyed: tensors with static lifetime may be freed after it would be.
  static auto* backend = new CpuBackend;
  return *backend;
}

}  // namespace inlay
