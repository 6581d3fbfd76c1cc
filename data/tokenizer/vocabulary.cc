// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/vocabulary.h"

#include "core/error.h"

namespace inlay {
namespace {

/// Thirty times the largest vocabulary there is; the table of ids then takes 64 MiB at most,
/// however large an id a small file claims.
constexpr i64 kMaxId = (i64{1} << 23) - 1;

}  // namespace

void Vocabulary::add(std::string_view piece, i64 id) {
  if (const auto known = find(piece)) {
    throw DataError(
        str("token \"", printable(piece), "\" is given twice, with ids ", *known, " and ", id));
  }
  add_or_repeat(piece, id);
}

void Vocabulary::add_or_repeat(std::string_view piece, i64 id) {
  if (id < 0 || id > kMaxId) {
    throw DataError(
        str("token \"", printable(piece), "\" has id ", id, "; ids are from 0 to ", kMaxId));
  }
  if (id < id_end() && by_id_[id] != nullptr) {
    throw DataError(str("id ", id, " is given to both \"", printable(*by_id_[id]), "\" and \"",
                        printable(piece), "\""));
  }
  const auto place = ids_.insert_or_assign(std::string(piece), static_cast<i32>(id)).first;
  if (id >= id_end()) {
    by_id_.resize(id + 1, nullptr);
  }
  by_id_[id] = &place->first;
}

std::optional<i32> Vocabulary::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Vocabulary::piece(i32 id) const {
  return id >= 0 && id < id_end() ? by_id_[id] : nullptr;
}

}  // namespace inlay
