// SPDX-License-Identifier: Apache-2.0
#include "core/io/read_log.h"

#include <algorithm>
#include <mutex>

namespace inlay {
namespace {

// Files are opened rarely: one lock for all logs does.
std::mutex& log_mutex() {
  static std::mutex mutex;
  return mutex;
}

ReadLog*& innermost() {
  static ReadLog* log = nullptr;
  return log;
}

}  // namespace

ReadLog::ReadLog() {
  const std::scoped_lock lock(log_mutex());
  outer_ = innermost();
  innermost() = this;
}

ReadLog::~ReadLog() {
  const std::scoped_lock lock(log_mutex());
  innermost() = outer_;
}

std::vector<ReadLog::Entry> ReadLog::entries() const {
  const std::scoped_lock lock(log_mutex());
  return entries_;
}

void ReadLog::note(const std::string& path, const FileStamp& stamp) {
  const std::scoped_lock lock(log_mutex());
  for (ReadLog* log = innermost(); log != nullptr; log = log->outer_) {
    if (std::ranges::none_of(log->entries_, [&](const Entry& e) { return e.path == path; })) {
      log->entries_.push_back({path, stamp});
    }
  }
}

}  // namespace inlay
