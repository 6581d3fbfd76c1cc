// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"

/// The alphabet that byte-level vocabularies are spelt in. Bytes 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF
/// are written as the character of the same number; the other 68, in increasing order, as U+0100 to
/// U+0143: a blank is "Ġ", a newline "Ċ".
namespace inlay {

/// The letter of one byte, as UTF-8.
std::string byte_letter(u8 byte);

/// The bytes that `piece` (UTF-8) spells; nothing if it has a character outside of the alphabet.
std::optional<std::string> from_byte_letters(std::string_view piece);

}  // namespace inlay
