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
///
/// Why not Oniguruma itself? It was tried (6.9.8, which Debian packs without an archive to link):
/// the same ids, but its interpreter takes 2.6 to 3.3 times as long to split as PCRE2's machine
/// code, and encoding as a whole 1.3 to 2.0 times (4 MB of English and 4 MB of Python, the
/// tokenizers of SmolLM2 and of tests/golden/tokenizers, medians of 7). Nearly half of a call is
/// spent on allocating and copying the places to go back to. Nor does its limit on retries bound
/// the time: 50 000 letters, searched for `(?>a+)b`, take seconds.
namespace inlay {

/// `pattern` for PCRE2 compiled with UTF and without any other option that changes the syntax.
/// Groups capture nothing: only back-references, which are refused, could tell.
/// Throws DataError `the regular expression "…" has … at offset 3, which is not supported`.
std::string to_pcre2(std::string_view pattern);

}  // namespace inlay
