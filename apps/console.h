// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/memory/byte_text.h"
#include "core/memory/memory.h"
#include "core/types.h"

namespace inlay {

/// Warnings and remarks, to stderr, one line each.
void print_notice(const std::string& sentence);

/// A notice when the system starts fewer threads than were asked for.
void notice_refused_threads();

bool stderr_is_terminal();
bool stdout_is_terminal();

/// "weights 98.4 MB, adapters 19.5 MB, …" without the empty classes.
std::string readable_memory(const MemoryReport& report);
/// A number with `digits` significant digits.
std::string readable_number(double value, int digits = 4);
/// "1 234 567"
std::string readable_count(i64 count);

/// A line on stderr that is written over as work goes on; nothing when stderr is no terminal.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what) : what_(std::move(what)) {}
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void update(i64 done, i64 total, const std::string& detail = "");
  void clear();

 private:
  std::string what_;
  bool shown_ = false;
};

}  // namespace inlay
