// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// The regular expressions of tokenizer.json are written for Oniguruma with Ruby's rules; our
/// engine is PCRE2. Most of the two languages is spelt alike, and what is spelt alike need not mean
/// the same: \h is a hexadecimal digit there and a blank here, `a{,2}` a repeat there and five
/// letters here, `[a[bc]]` a set within a set there. So a pattern is never handed on as it is. It
/// is read by Oniguruma's rules and written again in the part of PCRE2 that agrees; what has no
/// such counterpart is refused by name. A split is then what the file's author got, or an error.
namespace inlay {

/// `pattern` for PCRE2 compiled with UTF and without any other option that changes the syntax.
/// Groups capture nothing: only back-references, which are refused, could tell.
/// Throws DataError `the regular expression "…" has … at offset 3, which is not supported`.
std::string to_pcre2(std::string_view pattern);

}  // namespace inlay
