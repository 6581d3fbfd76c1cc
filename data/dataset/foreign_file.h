// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"

namespace inlay {

/// What a file is that should be text in UTF-8 and is not, and what to do about it: "the file is
/// compressed by gzip: unpack it first (gunzip)". Nothing where `start`, the first bytes of it, may
/// be such text.
std::optional<std::string> foreign_text(std::string_view start);

/// The same for a file of JSON rows, which also cannot begin as a web page or a Python dict does.
std::optional<std::string> foreign_rows(std::string_view start);

/// The text of a file of at most `max_bytes`, without a byte order mark. Throws IoError when it
/// cannot be read, DataError when it is no text in UTF-8 by foreign_text.
std::string read_text_file(const std::string& path, i64 max_bytes);

/// So many bytes of a file are enough for the first two.
inline constexpr int kForeignBytes = 1024;

}  // namespace inlay
