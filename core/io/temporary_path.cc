// SPDX-License-Identifier: Apache-2.0
#include "core/io/temporary_path.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <mutex>
#include <utility>

#include "core/types.h"

namespace inlay {
namespace {

// A signal handler may use no allocator and no lock, so the paths stand in a table of fixed size.
// A run has two at a time, a directory and a file in it; a path beyond the table's end is merely
// left behind when a signal ends the process.
struct Slot {
  std::atomic<bool> used = false;
  char path[PATH_MAX] = {};
};
std::array<Slot, 32> slots;

std::mutex& slots_mutex() {
  static std::mutex mutex;
  return mutex;
}

void remove_entry(int folder, const char* name, int depth) noexcept;

/// One pass over the names in an open directory. False when there was none.
bool remove_entries(int folder, int depth) noexcept {
  bool any = false;
  alignas(dirent64) char names[2048];  // small: this runs on a signal's stack
  ::lseek(folder, 0, SEEK_SET);
  for (i64 size = 0; (size = ::syscall(SYS_getdents64, folder, names, sizeof names)) > 0;) {
    for (i64 at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(names + at);
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
        any = true;
        remove_entry(folder, entry->d_name, depth);
      }
      at += entry->d_reclen;
    }
  }
  return any;
}

void remove_entry(int folder, const char* name, int depth) noexcept {
  constexpr int kDeepest = 8;
  if (::unlinkat(folder, name, 0) == 0 || errno == ENOENT || depth == kDeepest) {
    return;
  }
  const int inside = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inside == -1) {
    return;
  }
  // Removing names while they are listed may hide others from this pass, and another thread may
  // still be adding some.
  constexpr int kPasses = 100;
  for (int pass = 0; pass < kPasses && remove_entries(inside, depth + 1); ++pass) {
  }
  ::close(inside);
  // Fails quietly for what is not empty after all: then it is a leftover for the next writer.
  ::unlinkat(folder, name, AT_REMOVEDIR);
}

}  // namespace

TemporaryPath::TemporaryPath(const std::string& path) {
  if (path.size() >= PATH_MAX) {
    return;  // the system takes no such path
  }
  const std::lock_guard lock(slots_mutex());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i].used) {
      std::memcpy(slots[i].path, path.c_str(), path.size() + 1);
      // Last: a handler that runs now sees a whole path or none.
      slots[i].used = true;
      slot_ = i;
      return;
    }
  }
}

TemporaryPath::TemporaryPath(TemporaryPath&& other) noexcept
    : slot_(std::exchange(other.slot_, kNone)) {}

TemporaryPath& TemporaryPath::operator=(TemporaryPath&& other) noexcept {
  if (this != &other) {
    forget();
    slot_ = std::exchange(other.slot_, kNone);
  }
  return *this;
}

void TemporaryPath::forget() {
  if (slot_ != kNone) {
    slots[slot_].used = false;
    slot_ = kNone;
  }
}

bool is_temporary_here(const std::string& path) {
  const std::lock_guard lock(slots_mutex());
  for (const Slot& slot : slots) {
    if (slot.used && path == slot.path) {
      return true;
    }
  }
  return false;
}

void remove_temporaries() noexcept {
  for (const Slot& slot : slots) {
    if (slot.used) {
      remove_entry(AT_FDCWD, slot.path, 0);
    }
  }
}

}  // namespace inlay
