// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

/// How many rows something is worth saying of, and the line of the first.
struct Remark {
  i64 rows = 0;
  i64 first_line = 0;

  void add(i64 line) { first_line = rows++ == 0 ? line : first_line; }
  /// "3 rows (the first in line 7) have …" onto `notes`; nothing where there are none.
  void note(std::string_view what, std::vector<std::string>& notes) const;
};

}  // namespace inlay
