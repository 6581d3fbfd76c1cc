// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

namespace inlay {

/// A file or directory that this process is writing under a temporary name, known as such as long
/// as this lives. It does not remove it: that is its writer's business, and where a signal ends the
/// process before the writer can, that of `remove_temporaries`.
class TemporaryPath {
 public:
  TemporaryPath() = default;
  explicit TemporaryPath(const std::string& path);
  TemporaryPath(const TemporaryPath&) = delete;
  TemporaryPath& operator=(const TemporaryPath&) = delete;
  TemporaryPath(TemporaryPath&& other) noexcept;
  TemporaryPath& operator=(TemporaryPath&& other) noexcept;
  ~TemporaryPath() { forget(); }

  /// From here on the path is as any other.
  void forget();

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  std::size_t slot_ = kNone;
};

/// Whether a TemporaryPath of this process says so of `path`.
bool is_temporary_here(const std::string& path);

/// Removes what all TemporaryPaths name, directories with what is in them. For a signal handler
/// that then ends the process.
void remove_temporaries() noexcept;

}  // namespace inlay
