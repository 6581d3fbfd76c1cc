// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/types.h"

/// Bounded JSON parsing: whatever the text holds, it ends in a value or in one sentence.
namespace inlay {

struct JsonOptions {
  /// Skip `//` and `/* */` comments (run configs have them, other people's files do not).
  bool comments = false;
  /// Take NaN, Infinity and -Infinity, which Python's json writes, for numbers.
  bool python_numbers = false;
  /// Arrays and objects inside one another: real files stay under ten.
  i64 max_depth = 64;
  /// Values and keys in all, so that a small text cannot claim a large memory: a value takes about
  /// 100 bytes once parsed. The largest tokenizers have three million.
  i64 max_values = 10'000'000;
  /// Where the text begins, for messages, when it is part of a file.
  i64 first_line = 1;
  i64 first_column = 1;
};

/// Parses `text`, all of it. Throws DataError `<file>: line 3, column 7: …` for a syntax error,
/// text that is not UTF-8, a number out of range, a key given twice in an object, and for more
/// depth or values than `options` allow. Objects come out sorted by key; lookups are logarithmic.
nlohmann::json parse_json(std::string_view text, std::string_view file,
                          const JsonOptions& options = {});

/// The file's content, parsed. Throws IoError when it cannot be read or is larger than 256 MiB.
nlohmann::json read_json(const std::string& path, const JsonOptions& options = {});

/// parse_json with objects in the order of the file. Lookups are linear: for configs, not for
/// vocabularies.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view file,
                                          const JsonOptions& options = {});

}  // namespace inlay
