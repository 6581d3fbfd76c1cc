// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/file_system.h"
#include "core/io/temporary_path.h"
#include "core/types.h"

/// Files and directories that appear whole or not at all.
///
/// Both are written beside their place, under a name no other writer has, then synced, renamed, and
/// the parent directory synced: one rename is the whole act, before it the old state stands, after
/// it the new one. Whatever stops us (a full disk, SIGKILL, a power cut), a reader finds the one or
/// the other, never a mixture.
///
///   .NAME.inlay-tmp-PID-N    being written or removed; without a living writer, worth nothing
///   .NAME.inlay-old-PID-N    a directory on its way out, on disks that cannot exchange two names
///
/// An object removes its own leftovers when it is destroyed without a commit, and
/// `remove_temporaries` (temporary_path.h) where a signal ends the process. A killed process leaves
/// them: the next writer of the same name clears them up, and `remove_leftovers` those of every
/// name.
namespace inlay {

/// Throws IoError where no file can be put at `path`: its folder is missing, or a folder, a device
/// or a pipe has its name. For the start of long work whose result goes there: AtomicFile itself
/// only says so in the end.
void require_place_for_file(const std::string& path);

/// A file to be written front to back and published by `commit`. Throws IoError, and then the file
/// at `path` is as it was; only if the very last step fails, the parent's sync, it is the new one
/// already, which a power cut could still take back.
class AtomicFile {
 public:
  /// `expected_bytes`: the final size if it is known, for the message of a full disk.
  explicit AtomicFile(std::string path, i64 expected_bytes = 0);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Bytes written so far.
  i64 size() const { return size_; }
  /// Publishes the file, replacing what has its name. The last call.
  void commit();

 private:
  void flush();

  FileSystem& files_;
  std::string path_;
  std::string temporary_;
  TemporaryPath named_;
  std::unique_ptr<OutputFile> file_;
  std::vector<std::byte> buffer_;
  i64 size_ = 0;
  bool committed_ = false;
};

/// A whole file at once.
void write_file(const std::string& path, std::span<const std::byte> bytes);
void write_file(const std::string& path, std::string_view text);

/// Tells other processes that a directory has a living writer, as far as its disk knows locks.
class WriterLock {
 public:
  WriterLock() = default;
  explicit WriterLock(const std::string& directory);
  WriterLock(const WriterLock&) = delete;
  WriterLock& operator=(const WriterLock&) = delete;
  WriterLock(WriterLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  WriterLock& operator=(WriterLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~WriterLock();

 private:
  int descriptor_ = -1;
};

struct AtomicDirectoryOptions {
  /// A directory that is there already is replaced; otherwise it must be absent or empty.
  bool replace = false;
};

/// A directory to be filled and published by `commit`. Missing parents are made.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::string path, const AtomicDirectoryOptions& options = {});
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();

  /// Where to put the files until the commit.
  const std::string& path() const { return temporary_; }
  /// Syncs all that was put there and publishes it. The last call.
  void commit();

 private:
  void replace();

  FileSystem& files_;
  std::string target_;
  AtomicDirectoryOptions options_;
  std::string temporary_;
  TemporaryPath named_;
  WriterLock lock_;
  bool committed_ = false;
};

/// Removes a file or a directory with all that is in it as one act: it is renamed to a hidden name
/// first, so that a kill in between leaves nothing that looks like it and lacks parts. Nothing
/// there is no error.
void remove_whole(const std::string& path);

/// Removes what killed writers left in `directory` (not in its subdirectories), and puts back a
/// directory whose replacement was cut short. The caller must know that nobody is writing there,
/// by holding the directory's lock.
void remove_leftovers(const std::string& directory);
/// Whether a file of this name is what a killed writer left.
bool is_leftover(std::string_view name);

}  // namespace inlay
