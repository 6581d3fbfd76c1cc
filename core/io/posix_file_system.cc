// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/mapped_files.h"
#include "core/io/read_log.h"

namespace inlay {
namespace {

/// Calls again what a signal interrupted.
template <class Call>
auto retry(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) {
    result = call();
  }
  return result;
}

/// An open file, closed at the end of its life.
class Descriptor {
 public:
  /// Throws unless `flags` contain O_EXCL and the name is taken: then valid() is false.
  Descriptor(const std::string& path, int flags)
      : value_(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0644); })) {
    if (value_ == -1 && !((flags & O_EXCL) != 0 && errno == EEXIST)) {
      throw_io_error(path, (flags & O_CREAT) != 0 ? "create" : "open", errno);
    }
  }
  /// Stdin as it is: one that is a socket cannot be opened by its path, and a closed one would be
  /// read as an empty file.
  static Descriptor standard_input() {
    return Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }

  bool valid() const { return value_ != -1; }
  int get() const { return value_; }
  /// 0 or the errno. Not tried again after EINTR: on Linux the descriptor is gone by then.
  int close() {
    const int result = value_ == -1 ? 0 : ::close(std::exchange(value_, -1));
    return result == -1 && errno != EINTR ? errno : 0;
  }

 private:
  explicit Descriptor(int value) : value_(value) {
    if (value_ == -1) {
      throw_io_error("stdin", "read", errno);
    }
  }

  int value_;
};

FileKind kind_of(const struct stat& status) {
  if (S_ISREG(status.st_mode)) {
    return FileKind::kFile;
  }
  return S_ISDIR(status.st_mode) ? FileKind::kDirectory : FileKind::kOther;
}

/// Writes all of `bytes`; the system may take them in parts. Returns 0 or the errno.
int write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry([&] { return ::write(descriptor, bytes.data(), bytes.size()); });
    if (written == -1) {
      // The system's answer to bytes that it cannot read, where the program's own reading would
      // raise SIGBUS.
      if (const char* mapped = errno == EFAULT ? mapped_path_at(bytes.data()) : nullptr) {
        throw_unreadable_page(mapped);
      }
      return errno;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return 0;
}

class PosixMappedFile final : public MappedFile {
 public:
  explicit PosixMappedFile(const std::string& path) : MappedFile(path) {
    const Descriptor file(path, O_RDONLY | O_NONBLOCK);  // a pipe must not block the open
    struct stat status {};
    if (::fstat(file.get(), &status) == -1) {
      throw_io_error(path, "read", errno);
    }
    if (!S_ISREG(status.st_mode)) {
      throw IoError(str(printable(path, 300), ": cannot read: not a regular file"));
    }
    // From the open file, not the name: it is this file's content that is used.
    ReadLog::note(path, FileStamp::of(status));
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) {
      return;  // the system maps no empty range
    }
    address_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address_ == MAP_FAILED) {
      throw_io_error(path, "map", errno, status.st_size);
    }
    bytes_ = {static_cast<const std::byte*>(address_), size_};
    range_.emplace(bytes_, path, FileStamp::of(status));
  }
  PosixMappedFile(const PosixMappedFile&) = delete;
  PosixMappedFile& operator=(const PosixMappedFile&) = delete;
  ~PosixMappedFile() override {
    range_.reset();
    if (size_ != 0) {
      ::munmap(address_, size_);
    }
  }

  void will_read_in_order(std::span<const std::byte> part) const override {
    advise(part, MADV_SEQUENTIAL);
  }
  void will_need(std::span<const std::byte> part) const override { advise(part, MADV_WILLNEED); }
  void no_longer_needed(std::span<const std::byte> part) const override {
    advise(part, MADV_DONTNEED);
  }

 private:
  /// Whole pages around `part`. Only a hint, so a refusal is nobody's concern.
  void advise(std::span<const std::byte> part, int advice) const {
    if (part.empty()) {
      return;
    }
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = static_cast<std::size_t>(part.data() - bytes_.data()) / page * page;
    const auto end = static_cast<std::size_t>(part.data() - bytes_.data()) + part.size();
    ::madvise(static_cast<std::byte*>(address_) + begin, end - begin, advice);
  }

  void* address_ = nullptr;
  std::size_t size_ = 0;
  std::optional<MappedRange> range_;
};

class PosixOutputFile final : public OutputFile {
 public:
  PosixOutputFile(std::string path, Descriptor file, i64 size, i64 expected_bytes)
      : path_(std::move(path)), file_(std::move(file)), size_(size), expected_(expected_bytes) {}

  void write(std::span<const std::byte> bytes) override {
    const auto count = static_cast<i64>(bytes.size());
    if (const int error = write_all(file_.get(), bytes); error != 0) {
      throw_io_error(path_, "write", error, std::max(expected_, size_ + count));
    }
    size_ += count;
  }
  void sync() override {
    if (retry([&] { return ::fsync(file_.get()); }) == -1) {
      throw_io_error(path_, "write", errno, std::max(expected_, size_));
    }
  }
  void close() override {
    if (const int error = file_.close(); error != 0) {
      throw_io_error(path_, "write", error, std::max(expected_, size_));
    }
  }

 private:
  std::string path_;
  Descriptor file_;
  i64 size_;
  i64 expected_;
};

/// The lock is the kernel's (flock) and ends with the process; the file's content only tells others
/// whom they wait for.
class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(const std::string& directory)
      : path_(join_path(directory, kLockFileName)), file_(path_, O_RDWR | O_CREAT) {
    // The holder may not have written its number yet, or a killed one may have left its own.
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (try_lock()) {
        announce();
        return;
      }
      // A holder that is known and alive is told of at once; only an unknown one is waited for.
      if (const int holder = read_holder(); holder != 0) {
        refuse(directory, str("process ", holder));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    refuse(directory, "another process");
  }
  PosixDirectoryLock(const PosixDirectoryLock&) = delete;
  PosixDirectoryLock& operator=(const PosixDirectoryLock&) = delete;
  ~PosixDirectoryLock() override {
    // Left in place: a lock file removed by one process may be the one another has just opened.
    static_cast<void>(::ftruncate(file_.get(), 0) == 0);
  }

 private:
  static constexpr int kAttempts = 100;  // one second in all

  bool try_lock() const {
    if (retry([&] { return ::flock(file_.get(), LOCK_EX | LOCK_NB); }) == 0) {
      return true;
    }
    if (errno != EWOULDBLOCK) {
      throw_io_error(path_, "lock", errno);
    }
    return false;
  }
  void announce() const {
    const std::string text = str(::getpid(), "\n");
    if (::ftruncate(file_.get(), 0) == -1) {
      throw_io_error(path_, "write", errno);
    }
    if (const int error = write_all(file_.get(), std::as_bytes(std::span(text))); error != 0) {
      throw_io_error(path_, "write", error, static_cast<i64>(text.size()));
    }
  }
  /// The living process the file names, or 0.
  int read_holder() const {
    char text[32];
    const ssize_t size = retry([&] { return ::pread(file_.get(), text, sizeof text, 0); });
    int process = 0;
    if (size <= 0 || text[size - 1] != '\n' ||
        std::from_chars(text, text + size - 1, process).ec != std::errc() || process <= 0) {
      return 0;
    }
    const bool alive = ::kill(process, 0) == 0 || errno == EPERM;
    return alive ? process : 0;
  }
  [[noreturn]] static void refuse(const std::string& directory, const std::string& holder) {
    throw ConfigError(str(printable(directory, 300), ": ", holder,
                          " is using this directory; wait for it or choose another one"));
  }

  std::string path_;
  Descriptor file_;
};

class PosixFileSystem final : public FileSystem {
 public:
  FileInfo info(const std::string& path) override {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == -1) {
      return nothing_there(path);
    }
    FileInfo result;
    if (S_ISLNK(status.st_mode)) {
      result.link = true;
      if (::stat(path.c_str(), &status) == -1) {
        nothing_there(path);
        return result;
      }
    }
    result.kind = kind_of(status);
    result.size = result.kind == FileKind::kFile ? status.st_size : 0;
    return result;
  }

  std::vector<std::string> list(const std::string& directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
    if (!stream) {
      throw_io_error(directory, "list", errno);
    }
    std::vector<std::string> names;
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): safe on streams of one's own
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") {
        names.emplace_back(name);
      }
      errno = 0;
    }
    if (errno != 0) {
      throw_io_error(directory, "list", errno);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::shared_ptr<const MappedFile> map(const std::string& path) override {
    return std::make_shared<PosixMappedFile>(path);
  }

  std::string read(const std::string& path, i64 limit) override {
    const Descriptor file =
        path == "/dev/stdin" ? Descriptor::standard_input() : Descriptor(path, O_RDONLY);
    if (struct stat status{}; ::fstat(file.get(), &status) == 0) {
      ReadLog::note(path, FileStamp::of(status));
    }
    constexpr std::size_t kPiece = 1 << 20;
    std::string text;
    std::size_t size = 0;
    while (true) {
      // Piece by piece, not by the size the system tells: pipes have none, and files in /proc say
      // 0.
      text.resize(size + kPiece);
      const ssize_t got = retry([&] { return ::read(file.get(), text.data() + size, kPiece); });
      if (got == -1) {
        throw_io_error(path, "read", errno);
      }
      size += static_cast<std::size_t>(got);
      if (static_cast<i64>(size) > limit) {
        throw IoError(str(printable(path, 300), ": cannot read: more than ", limit, " bytes"));
      }
      if (got == 0) {
        text.resize(size);
        return text;
      }
    }
  }

  std::unique_ptr<OutputFile> create(const std::string& path, i64 expected_bytes) override {
    Descriptor file(path, O_WRONLY | O_CREAT | O_EXCL);
    if (!file.valid()) {
      return nullptr;
    }
    // Tells a file being written from one that a killed process left (atomic.cc), where the disk
    // knows locks.
    static_cast<void>(::flock(file.get(), LOCK_EX | LOCK_NB));
    return std::make_unique<PosixOutputFile>(path, std::move(file), 0, expected_bytes);
  }

  std::unique_ptr<OutputFile> append(const std::string& path, i64 keep_bytes) override {
    Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND);
    struct stat status {};
    if (::fstat(file.get(), &status) == -1) {
      throw_io_error(path, "open", errno);
    }
    // Another program has cut it: writing behind the end would leave a hole.
    if (status.st_size < keep_bytes) {
      throw IoError(str(printable(path, 300), ": cannot append behind byte ", keep_bytes,
                        ": the file has ", status.st_size));
    }
    if (status.st_size > keep_bytes &&
        retry([&] { return ::ftruncate(file.get(), keep_bytes); }) == -1) {
      throw_io_error(path, "cut", errno);
    }
    return std::make_unique<PosixOutputFile>(path, std::move(file), keep_bytes, 0);
  }

  void sync(const std::string& path) override {
    const Descriptor file(path, O_RDONLY);
    // Some kinds of disk cannot sync a directory, and say so with EINVAL.
    if (retry([&] { return ::fsync(file.get()); }) == -1 && errno != EINVAL) {
      throw_io_error(path, "write", errno);
    }
  }

  void rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) == -1) {
      throw_io_error(to, str("put ", base_name(from), " in its place"), errno);
    }
  }

  bool exchange(const std::string& a, const std::string& b) override {
    if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) {
      return true;
    }
    // The three ways in which kernels and disks say that they cannot do this.
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) {
      throw_io_error(b, str("put ", base_name(a), " in its place"), errno);
    }
    return false;
  }

  void remove(const std::string& path) override {
    if (std::remove(path.c_str()) == -1) {
      throw_io_error(path, "remove", errno);
    }
  }

  void make_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == -1 && (errno != EEXIST || !is_directory_here(path))) {
      throw_io_error(path, "make the directory", errno);
    }
  }

  std::unique_ptr<DirectoryLock> lock(const std::string& directory) override {
    return std::make_unique<PosixDirectoryLock>(directory);
  }

 private:
  static FileInfo nothing_there(const std::string& path) {
    if (errno != ENOENT && errno != ENOTDIR) {
      throw_io_error(path, "look up", errno);
    }
    return {};
  }
  static bool is_directory_here(const std::string& path) {
    const int error = errno;
    struct stat status {};
    const bool directory = ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    errno = error;
    return directory;
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace inlay
