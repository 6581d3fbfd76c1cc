// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "core/types.h"

namespace inlay {

/// "[2, 3]": a shape as a file has it, with any number of axes, where Shape takes only few.
inline std::string shape_text(std::span<const i64> shape) {
  std::string text;
  for (const i64 size : shape) {
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  return "[" + text + "]";
}

}  // namespace inlay
