// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/io/mapped_files.h"

/// Which files were read, and what they were then.
namespace inlay {

/// Notes every file that is mapped or read whole while it lives, so that what a run used need not
/// be listed by each of its readers. Several may live at once, the last made ends first.
class ReadLog {
 public:
  struct Entry {
    std::string path;  // as the reader spelt it
    FileStamp stamp;   // when it was first read
  };

  ReadLog();
  ReadLog(const ReadLog&) = delete;
  ReadLog& operator=(const ReadLog&) = delete;
  ~ReadLog();

  /// In the order in which they were first read, each path once.
  std::vector<Entry> entries() const;

  /// For the file system: `path` is being read, and has this stamp.
  static void note(const std::string& path, const FileStamp& stamp);

 private:
  ReadLog* outer_;
  std::vector<Entry> entries_;
};

}  // namespace inlay
