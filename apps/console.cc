// SPDX-License-Identifier: Apache-2.0
#include "apps/console.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/parallel.h"
#include "core/threads.h"

namespace inlay {
namespace {

spdlog::logger& log() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = spdlog::stderr_color_mt("inlay");
    made->set_pattern("%^note%$: %v");
    return made;
  }();
  return *logger;
}

}  // namespace

void print_notice(const std::string& sentence) {
  log().warn("{}", sentence);
}

void notice_refused_threads() {
  if (refused_threads() > 0) {
    print_notice(str("the system starts no more than ", num_threads(), " of ",
                     num_threads() + refused_threads(),
                     " threads (see ulimit -u and -v); the results are the same"));
  }
}

bool stderr_is_terminal() {
  return isatty(STDERR_FILENO) != 0;
}

bool stdout_is_terminal() {
  return isatty(STDOUT_FILENO) != 0;
}

std::string readable_memory(const MemoryReport& report) {
  std::string out;
  for (int c = 0; c < kMemoryClasses; ++c) {
    if (report.bytes[c] > 0) {
      out += (out.empty() ? "" : ", ") +
             std::string(memory_class_name(static_cast<MemoryClass>(c))) + " " +
             readable_bytes(report.bytes[c]);
    }
  }
  return out;
}

std::string readable_number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string readable_count(i64 count) {
  std::string digits = std::to_string(count);
  for (i64 at = static_cast<i64>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(at, 1, ' ');
  }
  return digits;
}

ProgressLine::~ProgressLine() {
  clear();
}

void ProgressLine::update(i64 done, i64 total, const std::string& detail) {
  if (!stderr_is_terminal()) {
    return;
  }
  constexpr i64 kWidth = 24;
  const i64 filled = total > 0 ? std::min(kWidth, done * kWidth / total) : 0;
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
  std::fprintf(stderr, "\r\033[K%s [%s] %ld/%ld %s", what_.c_str(), bar.c_str(),
               static_cast<long>(done), static_cast<long>(total), detail.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (shown_) {
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    shown_ = false;
  }
}

}  // namespace inlay
