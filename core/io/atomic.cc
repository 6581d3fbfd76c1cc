// SPDX-License-Identifier: Apache-2.0
#include "core/io/atomic.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

constexpr std::string_view kTemporary = ".inlay-tmp-";
constexpr std::string_view kOld = ".inlay-old-";
// Tensors of a few bytes share one system call; larger pieces go straight through.
constexpr std::size_t kBufferBytes = 256 << 10;

/// A name beside `path` that no writer of this process has had; the process number keeps it apart
/// from those of others.
std::string name_beside(const std::string& path, std::string_view kind) {
  static std::atomic<i64> counter{0};
  return join_path(parent_path(path),
                   str(".", base_name(path), kind, ::getpid(), "-", counter.fetch_add(1)));
}

/// "NAME" for ".NAME<kind>…", or "".
std::string original_name(std::string_view name, std::string_view kind) {
  const std::size_t at = name.rfind(kind);
  if (!name.starts_with('.') || at == std::string_view::npos || at == 0) {
    return "";
  }
  return std::string(name.substr(1, at - 1));
}

/// Whether no process holds the lock that a living writer has on what it writes. Also true where
/// this cannot be told: on disks without locks, and of what is not there.
bool is_unlocked(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (file == -1) {
    return true;
  }
  const bool held = ::flock(file, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK;
  ::close(file);
  return !held;
}

/// Whether the process that a temporary name ends in is gone, as far as this machine knows.
bool writer_is_gone(const std::string& path, std::string_view kind) {
  const std::string name = base_name(path);
  const char* number = name.data() + name.rfind(kind) + kind.size();
  int process = 0;
  if (std::from_chars(number, name.data() + name.size(), process).ec != std::errc() ||
      process <= 0) {
    return false;
  }
  // In a container every run may have the same number.
  return process == ::getpid() ? !is_temporary_here(path)
                               : ::kill(process, 0) == -1 && errno == ESRCH;
}

/// Whether the name has stood for a minute. The number of a process that is gone comes to others,
/// and a lock is taken a moment after the name.
bool is_old(const std::string& path) {
  constexpr std::time_t kSeconds = 60;
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 &&
         std::time(nullptr) - status.st_ctim.tv_sec > kSeconds;
}

/// Removes what killed writers of `path` left beside it, and puts back a directory whose
/// replacement was cut short. What cannot be removed is no reason not to write.
void remove_leftovers_of(FileSystem& files, const std::string& path) {
  const std::string folder = parent_path(path);
  const std::string target = base_name(path);
  try {
    for (const std::string& name : files.list(folder)) {
      // All three must agree before another's file is touched: its lock is free, and its process is
      // gone or its name so old that the number may be another's.
      const bool old = original_name(name, kOld) == target;
      const std::string leftover = join_path(folder, name);
      if ((!old && original_name(name, kTemporary) != target) || !is_unlocked(leftover) ||
          !(writer_is_gone(leftover, old ? kOld : kTemporary) || is_old(leftover))) {
        continue;
      }
      // Cut short between the two renames of replace(): the old directory is all there is.
      if (old && files.info(path).kind == FileKind::kNone) {
        files.rename(leftover, path);
      } else {
        remove_tree(leftover);
      }
    }
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch)
  }
}

/// For destructors: what cannot be removed now is a leftover, and the error that brought us here is
/// the one to be told.
void remove_quietly(const std::string& path) {
  try {
    remove_tree(path);
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

void sync_tree(FileSystem& files, const std::string& path) {
  if (files.info(path).kind == FileKind::kDirectory) {
    for (const std::string& name : files.list(path)) {
      sync_tree(files, join_path(path, name));
    }
  }
  files.sync(path);
}

}  // namespace

void require_place_for_file(const std::string& path) {
  const std::string folder = parent_path(path);
  if (!is_directory(folder)) {
    throw IoError(
        str(printable(path, 300), ": cannot create: there is no folder ", printable(folder, 300)));
  }
  const FileInfo info = file_system().info(path);
  if (info.kind == FileKind::kDirectory) {
    throw IoError(str(printable(path, 300), ": cannot create: a folder has this name"));
  }
  // A file is renamed into its place, and would replace the device: /dev/null for every program.
  const bool stream = path.starts_with("/proc/") || path.starts_with("/dev/fd/") ||
                      (info.link && parent_path(path) == "/dev");
  if (info.kind == FileKind::kOther || stream) {
    throw IoError(str(printable(path, 300),
                      ": cannot create: this is a device or a pipe, and no place for a file"));
  }
}

AtomicFile::AtomicFile(std::string path, i64 expected_bytes)
    : files_(file_system()), path_(std::move(path)) {
  remove_leftovers_of(files_, path_);
  // create() returns null, and does not throw, when the name is taken.
  while (!file_) {  // a killed process of the same number may have left the name
    temporary_ = name_beside(path_, kTemporary);
    named_ = TemporaryPath(temporary_);
    try {
      file_ = files_.create(temporary_, expected_bytes);
    } catch (const IoError&) {
      require_place_for_file(path_);  // whose sentence names no temporary file
      throw;
    }
  }
  buffer_.reserve(kBufferBytes);
}

AtomicFile::~AtomicFile() {
  file_.reset();
  if (!committed_) {
    remove_quietly(temporary_);
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  // Before a piece that goes straight through, too: bytes keep their order.
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    flush();
  }
  if (bytes.size() > kBufferBytes) {
    file_->write(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  size_ += static_cast<i64>(bytes.size());
}

void AtomicFile::flush() {
  if (!buffer_.empty()) {
    file_->write(buffer_);
    buffer_.clear();
  }
}

void AtomicFile::commit() {
  flush();
  file_->sync();
  file_->close();
  try {
    // Only what is synced may get the name: after a power cut a name can be there whose content is
    // not.
    files_.rename(temporary_, path_);
  } catch (const IoError&) {
    require_place_for_file(path_);
    throw;
  }
  committed_ = true;
  // From here on a signal must not remove the path: it would find the name free, or another's.
  named_.forget();
  // The new name itself outlives a power cut only with this.
  files_.sync(parent_path(path_));
}

void write_file(const std::string& path, std::span<const std::byte> bytes) {
  AtomicFile file(path, static_cast<i64>(bytes.size()));
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text)));
}

WriterLock::WriterLock(const std::string& directory)
    : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ != -1) {
    static_cast<void>(::flock(descriptor_, LOCK_EX | LOCK_NB));
  }
}

WriterLock::~WriterLock() {
  if (descriptor_ != -1) {
    ::close(descriptor_);
  }
}

AtomicDirectory::AtomicDirectory(std::string path, const AtomicDirectoryOptions& options)
    : files_(file_system()), target_(std::move(path)), options_(options) {
  make_directories(parent_path(target_));
  remove_leftovers_of(files_, target_);
  // Refused here and not at commit(): before the work, not after it.
  const FileKind kind = files_.info(target_).kind;
  const bool full = kind == FileKind::kDirectory && !files_.list(target_).empty();
  if ((kind != FileKind::kNone && kind != FileKind::kDirectory) || (full && !options_.replace)) {
    throw IoError(str(printable(target_, 300), ": already exists"));
  }
  do {
    temporary_ = name_beside(target_, kTemporary);
  } while (files_.info(temporary_).kind != FileKind::kNone);
  named_ = TemporaryPath(temporary_);
  files_.make_directory(temporary_);
  // Taken a moment after the name is there: see is_old().
  lock_ = WriterLock(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) {
    lock_ = WriterLock();  // the removal may need its descriptor, where these are few
    remove_quietly(temporary_);
  }
}

void AtomicDirectory::commit() {
  // All content first: the rename may reach the disk before what it names.
  sync_tree(files_, temporary_);
  if (options_.replace && files_.info(target_).kind != FileKind::kNone) {
    replace();
  } else {
    files_.rename(temporary_, target_);  // the system refuses a directory that has been filled
  }
  committed_ = true;
  files_.sync(parent_path(target_));
}

void AtomicDirectory::replace() {
  std::string old = temporary_;
  // One act where the disk knows how to swap two names; then the old one has the temporary name.
  if (!files_.exchange(temporary_, target_)) {
    // Between these two renames the name is free; remove_leftovers knows what to make of that.
    old = name_beside(target_, kOld);
    named_.forget();
    files_.rename(target_, old);
    try {
      files_.rename(temporary_, target_);
    } catch (...) {
      files_.rename(old, target_);
      throw;
    }
  }
  committed_ = true;
  // The old one may only go once the new one is sure to stay.
  files_.sync(parent_path(target_));
  remove_quietly(old);
}

void remove_whole(const std::string& path) {
  FileSystem& files = file_system();
  const FileInfo info = files.info(path);
  if (info.kind == FileKind::kNone && !info.link) {
    return;
  }
  // Not under the name of what a replacement puts aside: remove_leftovers would put that back.
  std::string hidden = name_beside(path, kTemporary);
  while (exists(hidden)) {
    hidden = name_beside(path, kTemporary);
  }
  const TemporaryPath named(hidden);  // a signal in between finishes the removal
  // The one act. What follows may be cut short: the rest has a leftover's name.
  files.rename(path, hidden);
  files.sync(parent_path(path));
  remove_tree(hidden);
}

bool is_leftover(std::string_view name) {
  return !original_name(name, kTemporary).empty() || !original_name(name, kOld).empty();
}

void remove_leftovers(const std::string& directory) {
  FileSystem& files = file_system();
  bool changed = false;
  for (const std::string& name : files.list(directory)) {
    const std::string path = join_path(directory, name);
    const std::string replaced = original_name(name, kOld);
    // As in remove_leftovers_of(): put aside, and its successor never came.
    if (!replaced.empty() && !exists(join_path(directory, replaced))) {
      files.rename(path, join_path(directory, replaced));
    } else if (!replaced.empty() || !original_name(name, kTemporary).empty()) {
      remove_tree(path);
    } else {
      continue;
    }
    changed = true;
  }
  // Put back and removed names are to outlive a power cut.
  if (changed) {
    files.sync(directory);
  }
}

}  // namespace inlay
