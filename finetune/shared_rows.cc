// SPDX-License-Identifier: Apache-2.0
#include "finetune/shared_rows.h"

#include <string_view>
#include <unordered_map>

#include "core/error.h"

namespace inlay {
namespace {

/// The tokens of a row as the bytes they are, to hash and compare.
std::string_view bytes_of(const Example& example) {
  return {reinterpret_cast<const char*>(example.ids.data()), example.ids.size() * sizeof(i32)};
}

}  // namespace

std::optional<std::string> shared_rows_note(const Dataset& train, const Dataset& validation) {
  std::unordered_map<std::string_view, i64> lines;  // of the first row with those tokens
  for (const Example& example : train.examples) {
    lines.emplace(bytes_of(example), example.line);
  }
  i64 shared = 0;
  i64 first = 0;
  i64 first_in_train = 0;
  for (const Example& example : validation.examples) {
    const auto found = lines.find(bytes_of(example));
    if (found != lines.end() && shared++ == 0) {
      first = example.line;
      first_in_train = found->second;
    }
  }
  if (shared == 0) {
    return std::nullopt;
  }
  return str(shared, " of ", validation.examples.size(), " validation rows ",
             shared == 1 ? "is a training row, too (" : "are training rows, too (the first is ",
             "line ", first, ", there line ", first_in_train,
             "), so the validation loss is better than it should be");
}

}  // namespace inlay
