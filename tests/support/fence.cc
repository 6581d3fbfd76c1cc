// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fence.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <type_traits>
#include <vector>

#include "core/error.h"

namespace inlay {
namespace {

/// One range of addresses, used from the bottom up; a block that is given back goes, without its
/// memory, to the next who asks for as many pages. Opened and closed as a whole: a kernel gets
/// addresses in structs and in lists of structs, and which storages these belong to only the kernel
/// knows.
class FencedPages {
 public:
  FencedPages() {
    void* range =
        mmap(nullptr, kReserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    INLAY_ASSERT(range != MAP_FAILED);
    base_ = top_ = static_cast<std::byte*>(range);
  }

  std::byte* allocate(i64 bytes) {
    const std::lock_guard lock(mutex_);
    const i64 size = whole_pages(bytes);
    std::vector<std::byte*>& free = free_[size];
    if (!free.empty()) {
      std::byte* block = free.back();
      free.pop_back();
      return block;
    }
    INLAY_ASSERT(top_ + size <= base_ + kReserve);
    std::byte* block = top_;
    top_ += size;
    return block;
  }
  void release(std::byte* block, i64 bytes) {
    const std::lock_guard lock(mutex_);
    const i64 size = whole_pages(bytes);
    // What opening and closing costs goes by the pages that have memory.
    madvise(block, size, MADV_DONTNEED);
    free_[size].push_back(block);
  }
  i64 reserved() const { return top_ - base_; }

  void open() {
    if (openers_++ == 0) {
      protect(PROT_READ | PROT_WRITE);
    }
  }
  void close() {
    if (--openers_ == 0) {
      protect(PROT_NONE);
    }
  }

 private:
  static constexpr i64 kReserve = i64{1} << 36;

  // A power of two of pages, so that blocks of one size serve many.
  static i64 whole_pages(i64 bytes) {
    i64 size = sysconf(_SC_PAGESIZE);
    while (size < bytes) {
      size *= 2;
    }
    return size;
  }
  void protect(int rights) {
    if (top_ > base_) {
      INLAY_ASSERT(mprotect(base_, top_ - base_, rights) == 0);
    }
  }

  std::mutex mutex_;
  std::map<i64, std::vector<std::byte*>> free_;
  std::byte* base_ = nullptr;
  std::byte* top_ = nullptr;
  std::atomic<int> openers_{0};
};

FencedPages& pages() {
  static auto* all = new FencedPages;
  return *all;
}

class Opened {
 public:
  Opened() { pages().open(); }
  ~Opened() { pages().close(); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
};

template <auto member>
struct Fenced;

template <class... Args, void (*Kernels::*member)(Args...)>
struct Fenced<member> {
  static void function(Args... args) {
    const Opened opened;
    (cpu_backend().kernels().*member)(args...);
  }
};

template <class Answer, class... Args, Answer (*Kernels::*member)(Args...)>
requires(!std::is_void_v<Answer>) struct Fenced<member> {
  static Answer function(Args... args) { return (cpu_backend().kernels().*member)(args...); }
};

class FenceBackend final : public Backend {
 public:
  FenceBackend() : Backend("fence", kernels_made_of<Fenced>()) {}

  std::byte* allocate(i64 bytes) override { return pages().allocate(bytes); }
  void release(std::byte* block, i64 bytes) noexcept override { pages().release(block, bytes); }
  i64 reserved() const override { return pages().reserved(); }
  bool host_may_touch() const override { return false; }
  bool reads_host_bytes() const override { return false; }
  void copy_in(std::byte* to, std::span<const std::byte> from) override {
    const Opened opened;
    std::memcpy(to, from.data(), from.size());
  }
  void copy_out(std::span<std::byte> to, const std::byte* from) override {
    const Opened opened;
    std::memcpy(to.data(), from, to.size());
  }
  void synchronise() override {}
};

}  // namespace

Backend& fence_backend() {
  static auto* backend = new FenceBackend;
  return *backend;
}

}  // namespace inlay
