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

/// Their classes in Transformers, likewise, in the order of the rows.
inline std::string known_classes() {
  std::string list;
  for (const Family* family : families()) {
    list += str(list.empty() ? "" : ", ", family->causal_class);
  }
  return list;
}

}  // namespace inlay::testing
