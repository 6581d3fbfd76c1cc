// SPDX-License-Identifier: Apache-2.0
#include "core/io/append_file.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

// Bytes up to and with the last newline: what is behind was cut short by a kill.
i64 whole_lines(FileSystem& files, const std::string& path) {
  if (files.info(path).kind == FileKind::kNone) {
    return 0;
  }
  const auto mapping = files.map(path);
  const auto bytes = mapping->bytes();
  const auto last = std::find(bytes.rbegin(), bytes.rend(), std::byte{'\n'});
  return bytes.rend() - last;
}

}  // namespace

AppendFile::AppendFile(std::string path)
    : files_(file_system()), path_(std::move(path)), size_(whole_lines(files_, path_)) {
  file_ = files_.append(path_, size_);
}

AppendFile::~AppendFile() {
  try {
    flush();
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
}

void AppendFile::write_line(std::string_view line) {
  INLAY_ASSERT(line.find('\n') == std::string_view::npos);
  waiting_ += line;
  waiting_ += '\n';
}

void AppendFile::flush() {
  if (waiting_.empty()) {
    return;
  }
  if (!file_) {
    file_ = files_.append(path_, size_);
  }
  // Taken out for the write: if that fails half way, the next flush starts by cutting back.
  std::unique_ptr<OutputFile> file = std::move(file_);
  file->write(std::as_bytes(std::span(waiting_)));
  file_ = std::move(file);
  size_ += static_cast<i64>(waiting_.size());
  waiting_.clear();
}

void AppendFile::sync() {
  flush();
  files_.sync(path_);
  files_.sync(parent_path(path_));
}

bool AppendFile::in_place() const {
  const FileInfo info = files_.info(path_);
  // Behind lines that wait there may be the first part of a write that failed.
  return info.kind == FileKind::kFile &&
         (waiting_.empty() ? info.size == size_ : info.size >= size_);
}

}  // namespace inlay
