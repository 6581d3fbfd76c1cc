// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace inlay {

/// The path of a file below tests/golden.
inline std::string golden(const std::string& name) {
  return INLAY_SOURCE_DIR "/tests/golden/" + name;
}

}  // namespace inlay
