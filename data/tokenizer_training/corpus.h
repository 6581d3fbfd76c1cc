// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "core/types.h"

namespace inlay {

/// What was read of a corpus.
struct CorpusSize {
  i64 texts = 0;
  i64 bytes = 0;
};

/// Calls take(text) for each text of a file, front to back; all are UTF-8 and not empty.
///
///   name.jsonl, name.json   rows of any format that data sets have: the text of a row, or, of
///                           messages, what each of them says. Rows of token ids are refused.
///   anything else           plain text, line by line, line ends included
///
/// Throws IoError when the file cannot be read, DataError `<path>: line 3: …` for what is no such
/// row or not UTF-8.
CorpusSize read_corpus(const std::string& path, const std::function<void(std::string text)>& take);

}  // namespace inlay
