// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/config/document.h"

/// Loading the file of a run: JSON with `//` comments, `"extends"`, and --set on top.
namespace inlay {

/// Where the relative paths of the config in `path` start: its folder, "" for the working
/// directory. Nothing where it has none, and its paths start at the working directory: it is "-",
/// which stands for stdin, or comes from a pipe or a descriptor, as /dev/stdin and a shell's <(…)
/// do.
std::optional<std::string> config_folder(const std::string& path);

/// Reads `path` ("-": stdin) and the files it extends, the base first, then the overrides in their
/// order. The key "extends" (a path relative to the file that has it) is gone from the result.
/// Throws ConfigError for a file that cannot be read, is not a JSON object or extends itself in the
/// end, and for a malformed override.
ConfigDocument load_run_file(const std::string& path, std::span<const std::string> overrides = {});

/// Puts `a.b=c` over the document, as `{"a": {"b": c}}` would be. `c` is JSON if it parses as JSON,
/// else a string, so `model.dtype=bf16` needs no quotes. Paths in it start at the working
/// directory. An unknown key is left for the reader to find, which names this option.
void apply_override(ConfigDocument& document, std::string_view assignment);

}  // namespace inlay
