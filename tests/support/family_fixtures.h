// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "nn/models/families.h"
#include "tests/support/golden.h"
#include "tests/support/training_run.h"

/// The tiny models of tests/golden/models/families, a folder each. INLAY_FAMILY_FIXTURES names
/// another place with such folders: the whole ones, as they were made (tests/golden/models/README.md).
namespace inlay {

inline std::string family_fixtures_root() {
  const char* place = std::getenv("INLAY_FAMILY_FIXTURES");
  return place != nullptr ? place : golden("models/families");
}

/// The folders there with a model of a family that inlay has. Here that is all of them, elsewhere
/// there may be models of other kinds.
inline std::vector<std::string> family_fixtures() {
  std::vector<std::string> names;
  const bool elsewhere = std::getenv("INLAY_FAMILY_FIXTURES") != nullptr;
  std::error_code none;  // leaves nothing to list
  for (const auto& entry : std::filesystem::directory_iterator(family_fixtures_root(), none)) {
    const std::string config = entry.path().string() + "/config.json";
    if (!std::filesystem::exists(entry.path().string() + "/golden_forward.safetensors")) {
      continue;
    }
    const std::string type = parse_ordered_json(read_text(config), config).value("model_type", "");
    if (!elsewhere || find_family(type) != nullptr) {
      names.push_back(entry.path().filename().string());
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace inlay
