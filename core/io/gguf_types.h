// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/io/gguf.h"
#include "core/types.h"

// What the GGUF reader and writer agree on.
namespace inlay::detail {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr i64 kGgufDefaultAlignment = 32;
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr i64 kGgufMaxDims = 4;
inline constexpr i64 kGgufMaxTensorName = 63;  // ggml keeps them in 64 bytes with a zero

/// Bytes of one array element; of a string, the least it can take.
i64 gguf_value_bytes(GgufValueType type);

/// The alignment a file's metadata asks for. Throws DataError `<where>: …` when it is not a u32
/// power of two.
i64 gguf_alignment(std::string_view where, const GgufValue* value);

/// `"name": ` for messages.
std::string gguf_where(std::string_view path, std::string_view name);

}  // namespace inlay::detail
