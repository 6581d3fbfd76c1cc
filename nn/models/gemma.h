// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "nn/models/families.h"
#include "nn/models/usual_parts.h"

/// What the generations of Gemma have alike: norms on both sides of each part, a gate by tanh's
/// GELU, an embedding times sqrt(hidden_size) with the head tied to it, a cap on the logits, and a
/// window on most layers. (Gemma Team 2024, arXiv:2408.00118; 2025, arXiv:2503.19786.)
namespace inlay {

/// The model without its layers.
DecoderPlan gemma_plan(const HfConfig& config, const UsualSizes& defaults);
/// A layer without its mixer's plan.
LayerPlan gemma_layer(const HfConfig& config, const DecoderPlan& plan, const UsualSizes& defaults);
SelfAttentionPlan gemma_attention(const HfConfig& config, const DecoderPlan& plan,
                                  const UsualSizes& defaults);

/// Modules of a layer by their names in GGUF files.
std::vector<NamePair> gemma_gguf_layer();

}  // namespace inlay
