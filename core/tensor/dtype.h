// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "core/types.h"

namespace inlay {

/// What one element of a tensor is. All are little-endian in files and in memory.
enum class DType : u8 { kF32, kBf16, kF16, kF64, kI8, kU8, kI16, kI32, kI64, kBool };

/// Bytes of one element; a bool takes one.
i64 size_of(DType dtype);
/// "f32", "bf16", …, "bool": the spelling of configs and messages.
std::string_view dtype_name(DType dtype);
/// The dtype spelt so, or nothing.
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace inlay
