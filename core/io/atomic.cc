// SPDX-License-Identifier: Apache-2.0
#include "core/io/atomic.h"

#include <unistd.h>

#include <atomic>
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
  if (is_directory(path)) {
    throw IoError(str(printable(path, 300), ": cannot create: a folder has this name"));
  }
}

AtomicFile::AtomicFile(std::string path, i64 expected_bytes)
    : files_(file_system()), path_(std::move(path)) {
  while (!file_) {  // a killed process of the same number may have left the name
    temporary_ = name_beside(path_, kTemporary);
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
    files_.rename(temporary_, path_);
  } catch (const IoError&) {
    require_place_for_file(path_);
    throw;
  }
  committed_ = true;
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

AtomicDirectory::AtomicDirectory(std::string path, const AtomicDirectoryOptions& options)
    : files_(file_system()), target_(std::move(path)), options_(options) {
  make_directories(parent_path(target_));
  const FileKind kind = files_.info(target_).kind;
  const bool full = kind == FileKind::kDirectory && !files_.list(target_).empty();
  if ((kind != FileKind::kNone && kind != FileKind::kDirectory) || (full && !options_.replace)) {
    throw IoError(str(printable(target_, 300), ": already exists"));
  }
  do {
    temporary_ = name_beside(target_, kTemporary);
  } while (files_.info(temporary_).kind != FileKind::kNone);
  files_.make_directory(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) {
    remove_quietly(temporary_);
  }
}

void AtomicDirectory::commit() {
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
  if (!files_.exchange(temporary_, target_)) {
    // Between these two renames the name is free; remove_leftovers knows what to make of that.
    old = name_beside(target_, kOld);
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

void remove_leftovers(const std::string& directory) {
  FileSystem& files = file_system();
  bool changed = false;
  for (const std::string& name : files.list(directory)) {
    const std::string path = join_path(directory, name);
    const std::string replaced = original_name(name, kOld);
    if (!replaced.empty() && !exists(join_path(directory, replaced))) {
      files.rename(path, join_path(directory, replaced));
    } else if (!replaced.empty() || !original_name(name, kTemporary).empty()) {
      remove_tree(path);
    } else {
      continue;
    }
    changed = true;
  }
  if (changed) {
    files.sync(directory);
  }
}

}  // namespace inlay
