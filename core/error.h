// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

/// Errors a user can meet. Each type carries the exit code of the command, and its text is one
/// sentence: where, what was expected, what came, and the nearest right name where there is one.
namespace inlay {

/// Exit codes of the `inlay` command.
enum class ExitCode {
  kDone = 0,
  kInternal = 1,
  kUsage = 2,
  kMemory = 3,
  kData = 4,
  kDiverged = 5,
  kVerification = 6,
};

/// Joins its arguments as `operator<<` prints them: str("rank ", 8) == "rank 8".
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return std::move(out).str();
}

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode exit_code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// A caller's tensor has the wrong shape. In a correct program a user never sees it.
class ShapeError : public Error {
 public:
  explicit ShapeError(const std::string& message) : Error(ExitCode::kInternal, message) {}
};

/// A caller's tensor has the wrong element type.
class DTypeError : public Error {
 public:
  explicit DTypeError(const std::string& message) : Error(ExitCode::kInternal, message) {}
};

/// A command line or run config that cannot be carried out: exit code 2.
class ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& message) : Error(ExitCode::kUsage, message) {}
};

/// The work does not fit in the memory allowed: exit code 3.
class MemoryError : public Error {
 public:
  explicit MemoryError(const std::string& message) : Error(ExitCode::kMemory, message) {}
};

/// A model, tokenizer, adapter or dataset file whose content is wrong: exit code 4.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::kData, message) {}
};

/// A file that cannot be opened, read or written: exit code 4.
class IoError : public Error {
 public:
  explicit IoError(const std::string& message) : Error(ExitCode::kData, message) {}
};

/// A loss or gradient that is no longer finite: exit code 5.
class DivergedError : public Error {
 public:
  explicit DivergedError(const std::string& message) : Error(ExitCode::kDiverged, message) {}
};

/// A check of our own results against a reference that failed: exit code 6.
class VerificationError : public Error {
 public:
  explicit VerificationError(const std::string& message)
      : Error(ExitCode::kVerification, message) {}
};

namespace detail {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

/// The entry of `candidates` nearest to `name` by edit distance, or "" when none is near enough to
/// be meant.
template <class Names>
std::string nearest_name(std::string_view name, const Names& candidates);

/// Edit distance (insert, delete, replace, swap of neighbours all cost 1).
int edit_distance(std::string_view a, std::string_view b);

/// ` (did you mean "x"?)` for the nearest candidate, or "". Where `name` itself is a candidate it
/// is no misspelling, and there is nothing to offer.
template <class Names>
std::string did_you_mean(std::string_view name, const Names& candidates) {
  const std::string nearest = nearest_name(name, candidates);
  return nearest.empty() || nearest == name ? std::string()
                                            : " (did you mean \"" + nearest + "\"?)";
}

template <class Names>
std::string nearest_name(std::string_view name, const Names& candidates) {
  std::string best;
  // A third of the letters may differ: further off, a suggestion misleads more than it helps.
  int best_distance = static_cast<int>(name.size()) / 3 + 2;
  for (const auto& candidate : candidates) {
    const int distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

/// Text from a file made fit for a message: control characters escaped, cut after `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 80);

}  // namespace inlay

/// Our own invariants: a failure is a bug in inlay and says so.
#define INLAY_ASSERT(condition)       \
  ((condition) ? static_cast<void>(0) \
               : ::inlay::detail::assertion_failed(#condition, __FILE__, __LINE__))
