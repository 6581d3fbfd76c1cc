// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"

namespace inlay {

/// "412.3 MB" (10^6 bytes), "1.24 GB", "980 kB", "48 B".
std::string readable_bytes(i64 bytes);

/// The bytes that "6GB", "1.5 GiB" or "900MB" mean: a number from 0 and kB, MB, GB, TB (powers of
/// 1000; in any case of letters) or KiB, MiB, GiB, TiB (of 1024). Nothing for any other text.
std::optional<i64> bytes_from_text(std::string_view text);

}  // namespace inlay
