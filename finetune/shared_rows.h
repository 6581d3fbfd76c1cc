// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/dataset/dataset.h"

namespace inlay {

/// A sentence where rows of `validation` are rows of `train`, too, token by token: how many, and
/// the lines of the first. What was learnt by heart is no measure of what was learnt.
std::optional<std::string> shared_rows_note(const Dataset& train, const Dataset& validation);

}  // namespace inlay
