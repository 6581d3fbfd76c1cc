// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/io/file_system.h"
#include "core/types.h"

namespace inlay {

/// A log that grows by whole lines, such as metrics.jsonl. A line whose writing was cut short, by a
/// full disk now or by a kill before, is taken back: what the file holds up to any newline was
/// written by `write_line`.
class AppendFile {
 public:
  /// Goes on behind the last whole line of `path`, or starts the file.
  explicit AppendFile(std::string path);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  /// Flushes and swallows what goes wrong: whoever needs the lines calls `flush`.
  ~AppendFile();

  /// `line` without a newline in it; kept in memory until the next flush.
  void write_line(std::string_view line);
  /// Hands all lines to the system, where they survive our end; throws IoError. The lines are then
  /// still held, and the next flush tries again.
  void flush();
  /// Flushes, and returns when the lines will survive a power cut.
  void sync();
  /// Whether the path still leads to the lines flushed: false once another program has removed
  /// the file, renamed it or changed its length, and lines go where nobody finds them.
  bool in_place() const;

 private:
  FileSystem& files_;
  std::string path_;
  std::unique_ptr<OutputFile> file_;
  std::string waiting_;
  i64 size_ = 0;  // of the whole lines in the file
};

}  // namespace inlay
