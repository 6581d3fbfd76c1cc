// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "data/template/call.h"

/// Strings that hold HTML. Chat templates use `safe` out of habit; what it changes is little, but
/// it is Jinja's.
namespace inlay::jinja {

/// `text` with & < > " and ' as entities.
std::string html_escaped(std::string_view text);

/// The markup of a value: itself, or the escaped text of it.
Value escaped(Runtime& runtime, const Value& value);

/// `row`, a method of strings, bound to the markup `subject`: strings it puts in are escaped, and
/// the strings it returns are markup.
Value bound_to_markup(const Builtin& row, Value subject);

}  // namespace inlay::jinja
