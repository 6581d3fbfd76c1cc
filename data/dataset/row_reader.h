// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"

namespace inlay {

/// A row of a data file as it stands there.
struct RawRow {
  std::string_view text;  // lives as long as the reader
  i64 line = 0;           // where it begins, from 1
  i64 column = 0;         // in bytes, from 1
};

/// Cuts a data file into its rows, one after the other. The file is mapped, and the pages before
/// the row at hand are given back, so its size is no matter.
class RowReader {
 public:
  virtual ~RowReader() = default;

  /// Nothing after the last row. Throws DataError `<path>: line 3: …` for a row of too many bytes
  /// and for an array that does not end, or not where the file does.
  virtual std::optional<RawRow> next() = 0;
  /// Whether rows are plain text, not JSON.
  virtual bool is_plain_text() const = 0;
};

/// Larger than any row that could be trained on, and a bound on what a broken file (one without
/// line ends, say) makes us read before it is refused.
inline constexpr i64 kMaxRowBytes = 64 << 20;

/// What is a row depends on the file:
///
///   name.txt          a line of plain text
///   [ value, … ]      a value of the JSON array, over as many lines as it takes
///   anything else     a line, to be read as JSON (JSONL)
///
/// Blank lines are no rows but count as lines. A byte order mark of UTF-8 at the start is skipped,
/// a carriage return at the end of a line is not part of it. Throws IoError when the file cannot be
/// read, and DataError when it is something else: compressed, in another encoding, a table …
/// (foreign_file.h).
std::unique_ptr<RowReader> open_rows(const std::string& path, i64 max_row_bytes = kMaxRowBytes);

}  // namespace inlay
