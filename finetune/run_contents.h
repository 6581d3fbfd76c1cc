// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

/// What is in a run's directory, told apart by the marks that runs leave: what a run wrote there,
/// which may be replaced, and what somebody else put beside it, which may not.
namespace inlay {

/// The folder of a run's result.
inline constexpr const char* kAdapterFolder = "adapter";
inline constexpr const char* kModelFolder = "model";

/// Whether a run wrote here: its settings or its manifest are here.
bool is_run_directory(const std::string& path);

/// The paths of all that runs write into `path`, there or not.
std::vector<std::string> paths_of_run(const std::string& path);

/// The first file that a run with its result in `result` (kAdapterFolder or kModelFolder) would
/// replace, and that no run wrote: in that folder, or in a checkpoint's.
std::optional<std::string> foreign_file(const std::string& path, const std::string& result);

/// Whether everything in a checkpoint's folder is a checkpoint's.
bool is_checkpoint_only(const std::string& folder);

/// Removes what the run in `path` wrote, but for the settings that tell it is one, and leaves what
/// it did not write.
void remove_run(const std::string& path);

}  // namespace inlay
