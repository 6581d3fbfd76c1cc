// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/types.h"
#include "data/dataset/row_format.h"

namespace inlay {

/// The columns that rows have and their format makes no use of, for one note about all of them.
class UnusedColumns {
 public:
  void add(const nlohmann::ordered_json& row, const RowFormat& format);
  /// `columns that are not used: "id" (in 3 rows), …`; nothing where there are none.
  std::optional<std::string> note() const;

 private:
  std::map<std::string, i64> rows_;  // of each column
  i64 further_ = 0;                  // columns beyond those that are counted
};

}  // namespace inlay
