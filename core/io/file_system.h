// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// The one door to files: everything inlay reads or writes goes through a `FileSystem`, so that
/// tests can put one behind it that counts, fails, tears and forgets.
///
/// Start here, then `core/io/atomic.h` for writing: files that appear whole or not at all.
///
/// Every failure is an IoError `<path>: cannot <what>: <reason>`. Paths are byte strings as the
/// system takes them, relative ones relative to the working directory.
namespace inlay {

enum class FileKind { kNone, kFile, kDirectory, kOther };

struct FileInfo {
  FileKind kind = FileKind::kNone;
  i64 size = 0;       // bytes, of a kFile
  bool link = false;  // the name is a symbolic link; kind and size are those of what it points to
};

/// The content of a file as memory, read-only; the pages come in when they are touched. Lives as
/// long as its pointer, whatever becomes of the name. inlay itself truncates no file meanwhile, it
/// renames new files over old ones; mapped_files.h tells what others may have done to it.
class MappedFile {
 public:
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  virtual ~MappedFile() = default;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  /// Hints; `part` is within bytes(). The first announces one pass from front to back, the second
  /// starts reading, the third says that the pages may go, and they do come back when touched.
  virtual void will_read_in_order(std::span<const std::byte> part) const = 0;
  virtual void will_need(std::span<const std::byte> part) const = 0;
  virtual void no_longer_needed(std::span<const std::byte> part) const = 0;

 protected:
  explicit MappedFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::span<const std::byte> bytes_;
};

/// A file being written. The destructor closes it and swallows what goes wrong: whoever needs the
/// bytes calls `sync` and `close`.
class OutputFile {
 public:
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  virtual ~OutputFile() = default;

  /// All of `bytes`, behind what is there.
  virtual void write(std::span<const std::byte> bytes) = 0;
  /// Returns when the content will outlive a power cut; its name only does once the directory is
  /// synced too.
  virtual void sync() = 0;
  virtual void close() = 0;

 protected:
  OutputFile() = default;
};

/// A directory held against other processes until destruction, or until the process ends in any
/// way.
class DirectoryLock {
 public:
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  virtual ~DirectoryLock() = default;

 protected:
  DirectoryLock() = default;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// What `path` is. Throws only when the system refuses to tell.
  virtual FileInfo info(const std::string& path) = 0;
  /// The names in a directory, sorted, without "." and "..".
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  /// A regular file, empty or not.
  virtual std::shared_ptr<const MappedFile> map(const std::string& path) = 0;
  /// The whole content, also of a pipe. Throws when it is more than `limit` bytes.
  virtual std::string read(const std::string& path, i64 limit) = 0;

  /// A new file of mode 0644 less the umask, empty. Null when the name is taken: never overwrites.
  /// `expected_bytes` (0 if unknown) is for the message of a full disk.
  virtual std::unique_ptr<OutputFile> create(const std::string& path, i64 expected_bytes) = 0;
  /// For writing behind the first `keep_bytes` bytes; what is after them is cut off. Creates the
  /// file when there is none.
  virtual std::unique_ptr<OutputFile> append(const std::string& path, i64 keep_bytes) = 0;

  /// Makes a file's content, or a directory's list of names, outlive a power cut.
  virtual void sync(const std::string& path) = 0;
  /// `to` is replaced at once, if it is a file or an empty directory.
  virtual void rename(const std::string& from, const std::string& to) = 0;
  /// Swaps two names at once. False when this kind of disk cannot.
  virtual bool exchange(const std::string& a, const std::string& b) = 0;
  /// A file or an empty directory.
  virtual void remove(const std::string& path) = 0;
  /// One level; an existing directory is not an error.
  virtual void make_directory(const std::string& path) = 0;

  /// Takes the directory for this process, without waiting: throws ConfigError naming the directory
  /// and the process that has it. Leaves a file `.inlay.lock` there.
  virtual std::unique_ptr<DirectoryLock> lock(const std::string& directory) = 0;
};

/// The name of the file that a lock leaves in its directory.
inline constexpr std::string_view kLockFileName = ".inlay.lock";

/// The file system in use: the real one, unless a ScopedFileSystem stands before it.
FileSystem& file_system();
/// The real one.
FileSystem& posix_file_system();

/// Puts another file system in use for its lifetime, in the whole process (tests).
class ScopedFileSystem {
 public:
  explicit ScopedFileSystem(FileSystem& replacement);
  ScopedFileSystem(const ScopedFileSystem&) = delete;
  ScopedFileSystem& operator=(const ScopedFileSystem&) = delete;
  ~ScopedFileSystem();

 private:
  FileSystem* before_;
};

// ---- What the interface gives together, on the file system in use.

bool exists(const std::string& path);
bool is_directory(const std::string& path);
bool is_file(const std::string& path);

/// The directory and those above it that are missing, each of them synced into its parent.
void make_directories(const std::string& path);
/// A file or a directory with all that is in it; nothing there is no error. Links are removed, not
/// followed.
void remove_tree(const std::string& path);

// ---- Paths, by their text alone.

/// "a/b"; `name` itself when it is absolute or `directory` is empty.
std::string join_path(std::string_view directory, std::string_view name);
/// "a" for "a/b", "." for "b", "/" for "/b".
std::string parent_path(std::string_view path);
/// "b" for "a/b" and "a/b/".
std::string base_name(std::string_view path);
/// True when `name` can only be a file in a directory already chosen: not empty, no '/', no NUL,
/// neither "." nor "..".
bool is_plain_name(std::string_view name);

/// Throws the IoError for an errno: "a/b: cannot write: no space left on device (10 bytes needed)",
/// the bytes only with ENOSPC, EDQUOT and EFBIG, and when they are not 0. ENOMEM is a MemoryError.
[[noreturn]] void throw_io_error(std::string_view path, std::string_view action, int error_number,
                                 i64 bytes_needed = 0);

}  // namespace inlay
