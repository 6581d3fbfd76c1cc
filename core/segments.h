// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/types.h"

namespace inlay {

/// One sequence of a packed batch, in which sequences stand one behind the other without padding:
/// its queries are rows [q_begin, q_begin + q_count), its keys rows [k_begin, k_begin + k_count).
/// The two differ where a cache holds earlier tokens: the queries are then the last of the
/// sequence. Nothing is seen across segments, whatever mixes a sequence's tokens.
struct Segment {
  i64 q_begin = 0, q_count = 0;
  i64 k_begin = 0, k_count = 0;
};

}  // namespace inlay
