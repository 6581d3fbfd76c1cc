// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace inlay {

/// A new empty directory, removed with all that is in it at the end of its life.
class TempDirectory {
 public:
  TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory();

  const std::string& path() const { return path_; }
  /// `<path>/<name>`
  std::string file(std::string_view name) const;

 private:
  std::string path_;
};

}  // namespace inlay
