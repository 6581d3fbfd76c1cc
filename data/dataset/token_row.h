// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "core/types.h"
#include "data/example.h"

namespace inlay {

/// A row of `input_ids` and, if they are there, `labels`; otherwise all ids are to be learnt.
/// Throws DataError unless ids are those of a vocabulary of `vocab_size` (absent: any that fit 32
/// bits), labels are such ids or -100, there are as many of both, and at least one. Other columns
/// that say what counts are refused when they say more than that: a mask that hides tokens, and
/// TRL's masks where there are no labels. `line` is left to the caller.
Example token_row(const nlohmann::ordered_json& row, std::optional<i64> vocab_size);

}  // namespace inlay
