// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/error.h"
#include "nn/models/families.h"

namespace inlay::testing {

/// As an error lists them: "gpt2, llama, …".
inline std::string known_families() {
  std::string list;
  for (const std::string& type : model_types()) {
    list += str(list.empty() ? "" : ", ", type);
  }
  return list;
}

}  // namespace inlay::testing
