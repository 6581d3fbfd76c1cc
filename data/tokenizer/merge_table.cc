// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/merge_table.h"

#include <string>

#include "core/error.h"

namespace inlay {

i32 MergeTable::add(const Vocabulary& vocabulary, std::string_view left, std::string_view right) {
  const auto id_of = [&](std::string_view piece) {
    const auto id = vocabulary.find(piece);
    if (!id) {
      throw DataError(str("merges \"", printable(left), "\" and \"", printable(right), "\", but \"",
                          printable(piece), "\" is not in the vocabulary"));
    }
    return *id;
  };
  const u64 pair = key(id_of(left), id_of(right));
  const i32 together = id_of(std::string(left).append(right));
  // A pair that comes again has the later rank, as in the tokenizers package.
  merges_[pair] = {next_rank_++, together};
  return together;
}

}  // namespace inlay
