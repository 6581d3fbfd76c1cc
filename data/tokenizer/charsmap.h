// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "data/tokenizer/normalizer_steps.h"

namespace inlay {

/// "Precompiled": the table of replacements that SentencePiece packs into its models, as base64 in
/// tokenizer.json. Throws DataError when it is damaged.
NormalizerStepPtr charsmap_from_base64(std::string_view text);
/// The same as the bytes it stands for; none at all change nothing.
NormalizerStepPtr charsmap(std::string_view bytes);

}  // namespace inlay
