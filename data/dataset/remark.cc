// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/remark.h"

#include "core/error.h"

namespace inlay {

void Remark::note(std::string_view what, std::vector<std::string>& notes) const {
  if (rows == 1) {
    notes.push_back(str("1 row (in line ", first_line, ") has ", what));
  } else if (rows > 1) {
    notes.push_back(str(rows, " rows (the first in line ", first_line, ") have ", what));
  }
}

}  // namespace inlay
