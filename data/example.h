// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/types.h"

namespace inlay {

/// The label of a token that is not trained on, as everywhere in the field.
inline constexpr i32 kIgnoreLabel = -100;

/// One training sequence. labels[t] is ids[t] where that token is to be learnt, else kIgnoreLabel;
/// the shift by one (token t is predicted from those before it) happens in the objective, so
/// labels[0] never counts.
struct Example {
  std::vector<i32> ids;
  std::vector<i32> labels;  // as long as ids
  i64 line = 0;             // where it stands in its file, from 1

  /// How many tokens of it are trained on.
  i64 trained() const {
    i64 count = 0;
    for (std::size_t t = 1; t < labels.size(); ++t) {
      count += labels[t] != kIgnoreLabel ? 1 : 0;
    }
    return count;
  }
};

}  // namespace inlay
