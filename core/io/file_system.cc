// SPDX-License-Identifier: Apache-2.0
#include "core/io/file_system.h"

#include <atomic>
#include <cctype>
#include <cerrno>
#include <system_error>

#include "core/error.h"

namespace inlay {
namespace {

// Null stands for the real one, which is made on first use.
std::atomic<FileSystem*>& replaced() {
  static std::atomic<FileSystem*> replacement{nullptr};
  return replacement;
}

}  // namespace

FileSystem& file_system() {
  FileSystem* const replacement = replaced().load();
  return replacement != nullptr ? *replacement : posix_file_system();
}

ScopedFileSystem::ScopedFileSystem(FileSystem& replacement)
    : before_(replaced().exchange(&replacement)) {}

ScopedFileSystem::~ScopedFileSystem() {
  replaced().store(before_);
}

bool exists(const std::string& path) {
  return file_system().info(path).kind != FileKind::kNone;
}

bool is_directory(const std::string& path) {
  return file_system().info(path).kind == FileKind::kDirectory;
}

bool is_file(const std::string& path) {
  return file_system().info(path).kind == FileKind::kFile;
}

void make_directories(const std::string& path) {
  if (is_directory(path)) {
    return;
  }
  const std::string parent = parent_path(path);
  if (parent != path) {
    make_directories(parent);
  }
  file_system().make_directory(path);
  file_system().sync(parent);
}

void remove_tree(const std::string& path) {
  const FileInfo info = file_system().info(path);
  if (info.kind == FileKind::kNone && !info.link) {
    return;
  }
  if (info.kind == FileKind::kDirectory && !info.link) {
    // An empty one can be removed without a descriptor, of which there may be none left.
    try {
      file_system().remove(path);
      return;
    } catch (const IoError&) {  // NOLINT(bugprone-empty-catch)
    }
    for (const std::string& name : file_system().list(path)) {
      remove_tree(join_path(path, name));
    }
  }
  file_system().remove(path);
}

std::string join_path(std::string_view directory, std::string_view name) {
  if (directory.empty() || name.starts_with('/')) {
    return std::string(name);
  }
  return str(directory, directory.ends_with('/') ? "" : "/", name);
}

std::string parent_path(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return ".";
  }
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) {
    path.remove_suffix(1);
  }
  return std::string(path.substr(path.rfind('/') + 1));
}

bool is_plain_name(std::string_view name) {
  constexpr std::string_view kForbidden("/\0", 2);
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(kForbidden) == std::string_view::npos;
}

void throw_io_error(std::string_view path, std::string_view action, int error_number,
                    i64 bytes_needed) {
  std::string reason = std::generic_category().message(error_number);
  reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  if (error_number == ENOMEM) {
    throw MemoryError(str(printable(path, 300), ": cannot ", action, ": out of memory",
                          bytes_needed > 0 ? str(": ", bytes_needed, " bytes needed") : "",
                          " (see ulimit -v)"));
  }
  if ((error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) &&
      bytes_needed > 0) {
    reason += str(" (", bytes_needed, " bytes needed)");
  }
  throw IoError(str(printable(path, 300), ": cannot ", action, ": ", reason));
}

}  // namespace inlay
