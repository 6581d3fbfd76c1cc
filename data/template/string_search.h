// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// Cutting and replacing, as Python's string methods do. The pieces point into `text`; each is paid
/// for as the string it will become, before there are too many.
namespace inlay::jinja {

/// str.split(separator, most) or rsplit: at most `most` cuts (none is too many when it is
/// negative), counted from the right if asked. The separator is not empty.
std::vector<std::string_view> split_on(Runtime& runtime, std::string_view text,
                                       std::string_view separator, i64 most, bool from_right);

/// str.split(None, most): cuts at runs of white space, those at the ends giving nothing.
std::vector<std::string_view> split_on_spaces(Runtime& runtime, std::string_view text, i64 most,
                                              bool from_right);

/// str.splitlines(keep_ends).
std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends);

/// str.replace(from, to, count): all when count is negative. An empty `from` is found between all
/// characters.
Value replace_text(Runtime& runtime, std::string_view text, std::string_view from,
                   std::string_view to, i64 count);

}  // namespace inlay::jinja
