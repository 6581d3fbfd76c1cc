// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace inlay {

/// GGUF's name for a module or parameter that Hugging Face names `hf_name`
/// ("model.layers.0.self_attn.q_proj.weight" -> "blk.0.attn_q.weight"), for a model of `family`;
/// nothing when that family has no such part.
std::optional<std::string> gguf_name(const std::string& family, const std::string& hf_name);

}  // namespace inlay
