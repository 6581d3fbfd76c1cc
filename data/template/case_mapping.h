// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "data/template/characters.h"
#include "data/template/runtime.h"

/// str.upper() and the like. They fail, naming `caller`, for the few letters whose other case is
/// not one letter by itself (characters.h): right or not at all.
namespace inlay::jinja {

std::string map_case(Runtime& runtime, std::string_view caller, std::string_view text,
                     LetterCase letter_case);

/// First letter in title case, the others in lower case.
std::string capitalized(Runtime& runtime, std::string_view caller, std::string_view text);

/// str.title(): a letter that follows a letter with case is lower, any other is title.
std::string titled(Runtime& runtime, std::string_view text);

/// str.islower() and str.isupper(): at least one letter with case, and none of another.
bool all_in_case(std::string_view text, LetterCase letter_case);

}  // namespace inlay::jinja
