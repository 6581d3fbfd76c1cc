// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/unused_columns.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace inlay {
namespace {

/// Enough for any table; rows whose keys are data would fill the memory.
constexpr std::size_t kMaxColumns = 64;
constexpr std::size_t kMaxShown = 12;

}  // namespace

void UnusedColumns::add(const nlohmann::ordered_json& row, const RowFormat& format) {
  for (const std::string& column : unused_columns(row, format)) {
    if (rows_.size() < kMaxColumns || rows_.count(column) > 0) {
      ++rows_[column];
    } else {
      ++further_;
    }
  }
}

std::optional<std::string> UnusedColumns::note() const {
  if (rows_.empty()) {
    return std::nullopt;
  }
  std::string list;
  std::size_t shown = 0;
  for (const auto& [column, rows] : rows_) {
    if (shown++ == kMaxShown) {
      break;
    }
    list += str(list.empty() ? "" : ", ", '"', printable(column), "\" (in ", rows,
                rows == 1 ? " row)" : " rows)");
  }
  return str("columns that are not used: ", list, shown > kMaxShown || further_ > 0 ? ", …" : "");
}

}  // namespace inlay
