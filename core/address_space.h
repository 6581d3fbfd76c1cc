// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/types.h"

namespace inlay {

/// Bytes of addresses that this process may still map, where there is a limit (ulimit -v).
std::optional<i64> addresses_left();

}  // namespace inlay
