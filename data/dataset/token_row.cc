// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/token_row.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"
#include "data/dataset/row_text.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

const Json& list_at(const Json& row, const char* column) {
  const Json& list = row.at(column);
  if (!list.is_array()) {
    throw DataError(str("/", column, ": must be a list of token ids, not ", list.type_name()));
  }
  return list;
}

/// Reads a list of ids below `id_end`, and kIgnoreLabel too where it is allowed.
std::vector<i32> read_ids(const Json& row, const char* column, i64 id_end, bool or_ignored) {
  const Json& list = list_at(row, column);
  std::vector<i32> ids;
  ids.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    // An unsigned value above 2^63 comes out negative, and is refused as such.
    const i64 id = list[i].is_number_integer() ? list[i].get<i64>() : -1;
    if ((id < 0 || id >= id_end) && !(or_ignored && id == kIgnoreLabel)) {
      throw DataError(str("/", column, "/", i, ": must be a token id from 0 to ", id_end - 1,
                          or_ignored ? ", or -100" : "", ", not ", printable(list[i].dump())));
    }
    ids.push_back(static_cast<i32>(id));
  }
  return ids;
}

void check_masks(const Json& row) {
  const auto has_mask = [&](const char* column) {
    return row.contains(column) && !row[column].is_null();
  };
  if (has_mask("attention_mask")) {
    for (const Json& value : list_at(row, "attention_mask")) {
      if (value != 1) {
        throw DataError(
            "/attention_mask: hides tokens, which is not supported; leave out padding instead");
      }
    }
  }
  for (const char* column : {"completion_mask", "assistant_masks", "loss_mask"}) {
    if (has_mask(column) && !has_mask("labels")) {
      throw DataError(str("/", column,
                          ": is not read; say what is to be learnt by \"labels\", -100 elsewhere"));
    }
  }
}

}  // namespace

Example token_row(const Json& row, std::optional<i64> vocab_size) {
  const i64 id_end = vocab_size.value_or(i64{std::numeric_limits<i32>::max()} + 1);
  Example example;
  example.ids = read_ids(row, "input_ids", id_end, /*or_ignored=*/false);
  if (example.ids.empty()) {
    throw EmptyRow("/input_ids: is empty");
  }
  check_masks(row);
  const bool labelled = row.contains("labels") && !row["labels"].is_null();
  example.labels = labelled ? read_ids(row, "labels", id_end, /*or_ignored=*/true) : example.ids;
  if (example.labels.size() != example.ids.size()) {
    throw DataError(str("/labels: there must be as many as input_ids (", example.ids.size(),
                        "), not ", example.labels.size()));
  }
  return example;
}

}  // namespace inlay
