// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// Python's string literals, as templates write them.
namespace inlay::jinja {

/// The length of the literal at the start of `text`, quotes included; 0 when it is not closed.
std::size_t quoted_length(std::string_view text);

/// What is between the quotes, with its backslash escapes resolved. A backslash before any other
/// character stays. `error` becomes a sentence when an escape is broken.
std::string unescaped(std::string_view inside, std::string& error);

}  // namespace inlay::jinja
