// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace inlay {

/// Where huggingface_hub keeps what it downloads: HF_HUB_CACHE, else HUGGINGFACE_HUB_CACHE, else
/// `hub` in HF_HOME, else in `huggingface` in XDG_CACHE_HOME, else in ~/.cache/huggingface; with ~
/// and $NAME filled in. An empty variable counts as unset.
std::string hub_cache_directory();

/// The folder or .gguf file that `name` means: itself when it exists, else a model of that cache,
/// "org/model" or "org/model@revision" with a branch, a tag or a commit; "main" when none is given.
/// Throws DataError when there is neither.
std::string resolve_model_path(const std::string& name);
/// The same; nothing when there is neither.
std::optional<std::string> find_model_path(const std::string& name);

}  // namespace inlay
