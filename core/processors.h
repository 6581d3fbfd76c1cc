// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

/// What the system says of its processors. `root` is where /proc and /sys are found.
namespace inlay {

/// The name that the processor gives itself; "" where the system does not tell.
std::string processor_name(const std::string& root = "");

/// How many processors' time the process's control groups (versions 1 and 2) allow it, where they
/// have a limit: a container may see 64 processors and be stopped after two seconds of each.
std::optional<double> processor_quota(const std::string& root = "");

}  // namespace inlay
