// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/text/regex.h"
#include "data/text/unicode.h"
#include "data/tokenizer/normalizer.h"

/// The ways to change text that tokenizer.json names.
namespace inlay {

using NormalizerStepPtr = std::shared_ptr<const NormalizerStep>;

/// "NFC", "NFD", "NFKC", "NFKD".
NormalizerStepPtr normalization_form(NormalizationForm form);
/// "Lowercase": letter by letter.
NormalizerStepPtr lowercase();
/// "StripAccents": without marks.
NormalizerStepPtr strip_accents();
/// "Strip": without white space at the sides.
NormalizerStepPtr strip(bool left, bool right);
/// "Prepend": `prefix` before any text that is not empty.
NormalizerStepPtr prepend(std::string prefix);
/// "Replace": each match by `content`.
NormalizerStepPtr replace(Regex pattern, std::string content);
/// "Nmt": without control characters; all that is blank to the eye becomes a blank.
NormalizerStepPtr nmt();

}  // namespace inlay
