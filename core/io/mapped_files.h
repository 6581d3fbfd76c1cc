// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/types.h"

struct stat;

namespace inlay::detail {
struct MappedEntry;
}  // namespace inlay::detail

/// What becomes of a mapped file while it is mapped: others can cut it, write to it or put another
/// in its place.
///
///   cut        a page behind the new end raises SIGBUS when it is touched. A handler of that
///              signal asks `mapped_path_at` which file it was.
///   written    nothing is raised, and old pages may stand beside new ones. Whoever has a result to
///              call good calls `require_mapped_files_unchanged` first.
///   replaced   the mapping goes on showing the old file, but the name now means another than the
///              one computed with, so that is a change too.
///   removed    nobody can write to it by its name any more, and the mapping keeps what it had.
namespace inlay {

/// What tells two states of a file apart without reading it. Times are in nanoseconds.
struct FileStamp {
  u64 inode = 0;
  i64 size = 0;
  i64 modified = 0;
  i64 changed = 0;  // of the content or of what follows:
  u64 mode = 0, links = 0, owner = 0, group = 0;

  static FileStamp of(const struct stat& status);
};

/// "" while the file at `path` is as `before` has it, else what has happened to it: "was cut from
/// 10 to 4 bytes". Removal, new links, owners and permissions are no change. The inode alone tells
/// nothing, for some network file systems number their files anew.
std::string change_since(const FileStamp& before, const std::string& path);

/// Throws IoError naming the first of the files now mapped that is no longer as it was when it was
/// opened. Two writes within one tick of the system's clock look like one.
void require_mapped_files_unchanged();

/// The path, fit for a message, of the mapped file that `address` is in, or null. May be called
/// by a signal handler.
const char* mapped_path_at(const void* address) noexcept;

/// Throws the IoError for a mapped file with a page that could not be read.
[[noreturn]] void throw_unreadable_page(const std::string& path);
/// Its sentence behind the path, for the signal handler.
inline constexpr char kUnreadablePage[] =
    ": was cut while it was in use, or its disk failed; put it back whole";

/// A mapped range, known to the functions above as long as it lives.
class MappedRange {
 public:
  MappedRange(std::span<const std::byte> bytes, std::string path, const FileStamp& stamp);
  MappedRange(const MappedRange&) = delete;
  MappedRange& operator=(const MappedRange&) = delete;
  ~MappedRange();

 private:
  detail::MappedEntry* entry_;
};

}  // namespace inlay
