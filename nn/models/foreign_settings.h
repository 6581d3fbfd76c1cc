// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/models/families.h"

namespace inlay {

/// Throws DataError naming the first setting of config.json that changes the arithmetic of some
/// family in Transformers, is not the family's own (Family::own_settings), and has a value that
/// changes something. Transformers passes such keys over, so a model that has them is not what its
/// config calls it, and would be trained as another. Keys of which no family makes arithmetic, such
/// as those of generation, are not looked at.
void refuse_foreign_settings(const HfConfig& config, const Family& family, const DecoderPlan& plan);

}  // namespace inlay
