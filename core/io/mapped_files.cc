// SPDX-License-Identifier: Apache-2.0
#include "core/io/mapped_files.h"

#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <utility>

#include "core/error.h"

namespace inlay {

// The entries form a list that a signal handler may walk at any moment, so they are linked once and
// stay: one whose range is gone has no `begin` and is taken by the next range.
struct detail::MappedEntry {
  std::atomic<const std::byte*> begin = nullptr;
  std::atomic<std::size_t> size = 0;
  std::string path, shown;
  FileStamp stamp;
  MappedEntry* next = nullptr;
};

namespace {

i64 nanoseconds(const timespec& time) {
  return static_cast<i64>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

bool same_content(const FileStamp& before, const FileStamp& now) {
  if (now.size != before.size || now.modified != before.modified) {
    return false;
  }
  // A writer can set the time of its write back, but not that of the change. A link, a chmod or a
  // chown alone changes it too.
  // ctime moves with either, so a change of ctime alone counts unless it is explained.
  const bool only_about_the_file =
      now.inode == before.inode && (now.mode != before.mode || now.links != before.links ||
                                    now.owner != before.owner || now.group != before.group);
  return now.changed == before.changed || only_about_the_file;
}

std::atomic<detail::MappedEntry*> first_entry = nullptr;

std::mutex& entries_mutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

FileStamp FileStamp::of(const struct stat& status) {
  return {.inode = status.st_ino,
          .size = status.st_size,
          .modified = nanoseconds(status.st_mtim),
          .changed = nanoseconds(status.st_ctim),
          .mode = status.st_mode,
          .links = status.st_nlink,
          .owner = status.st_uid,
          .group = status.st_gid};
}

std::string change_since(const FileStamp& before, const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == -1) {
    return "";
  }
  const FileStamp now = FileStamp::of(status);
  if (same_content(before, now)) {
    return "";
  }
  if (now.inode != before.inode) {
    return "was replaced by another file";
  }
  if (now.size != before.size) {
    return str(now.size < before.size ? "was cut from " : "grew from ", before.size, " to ",
               now.size, " bytes");
  }
  return "was written to";
}

MappedRange::MappedRange(std::span<const std::byte> bytes, std::string path,
                         const FileStamp& stamp) {
  const std::lock_guard lock(entries_mutex());
  entry_ = first_entry;
  while (entry_ != nullptr && entry_->begin != nullptr) {
    entry_ = entry_->next;
  }
  const bool made = entry_ == nullptr;
  if (made) {
    // Never freed, as said above.
    entry_ = new detail::MappedEntry;  // NOLINT(cppcoreguidelines-owning-memory)
  }
  entry_->shown = printable(path, 300);
  entry_->path = std::move(path);
  entry_->stamp = stamp;
  entry_->size = bytes.size();
  // Last, for the handler: whoever sees `begin` sees the rest.
  entry_->begin = bytes.data();
  if (made) {
    // Linked when whole; entries are never unlinked, so a walk needs no lock.
    entry_->next = first_entry;
    first_entry = entry_;
  }
}

MappedRange::~MappedRange() {
  const std::lock_guard lock(entries_mutex());
  entry_->begin = nullptr;
}

void require_mapped_files_unchanged() {
  const std::lock_guard lock(entries_mutex());
  for (const detail::MappedEntry* entry = first_entry; entry != nullptr; entry = entry->next) {
    if (entry->begin == nullptr) {
      continue;
    }
    if (const std::string change = change_since(entry->stamp, entry->path); !change.empty()) {
      throw IoError(str(entry->shown, ": ", change,
                        " while it was in use, so the result cannot be relied on"));
    }
  }
}

const char* mapped_path_at(const void* address) noexcept {
  const auto* byte = static_cast<const std::byte*>(address);
  for (const detail::MappedEntry* entry = first_entry; entry != nullptr; entry = entry->next) {
    const std::byte* begin = entry->begin;
    if (begin != nullptr && byte >= begin && byte < begin + entry->size) {
      return entry->shown.c_str();
    }
  }
  return nullptr;
}

void throw_unreadable_page(const std::string& path) {
  throw IoError(path + kUnreadablePage);
}

}  // namespace inlay
