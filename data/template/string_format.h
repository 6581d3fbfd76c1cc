// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/template/call.h"

/// Python's two ways of filling values into a text.
namespace inlay::jinja {

/// text.format(…), with the fields of the sandbox: {0}, {name.key[1]!r:>{width}}, {{ and }}. In
/// markup what is filled in is escaped.
Value format_braces(Runtime& runtime, const Value& text, const CallArguments& arguments);

/// text % values: a tuple is taken apart, a dict gives the values of %(key)s, anything else is one
/// value. In markup what is filled in is escaped.
Value format_percent(Runtime& runtime, const Value& text, const Value& values);

}  // namespace inlay::jinja
