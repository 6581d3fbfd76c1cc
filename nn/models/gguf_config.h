// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/io/gguf.h"
#include "nn/models/hf_config.h"

namespace inlay {

/// The settings of a GGUF model by the keys of config.json. Throws DataError for an architecture
/// inlay does not know and for metadata that is missing or of the wrong type.
HfConfig gguf_config(const GgufFile& file);

}  // namespace inlay
