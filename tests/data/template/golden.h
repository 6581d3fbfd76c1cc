// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/error.h"
#include "data/template/jinja.h"
#include "tests/support/error_text.h"

/// The files of tests/golden/templates, and errors as text.
namespace inlay {

inline std::string golden_text(const std::string& file) {
  std::ifstream in(INLAY_SOURCE_DIR "/tests/golden/templates/" + file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline nlohmann::ordered_json golden_json(const std::string& file) {
  return nlohmann::ordered_json::parse(golden_text(file));
}

/// The message of the DataError that `run` throws, or "" when it throws none.
template <class Run>
std::string data_error(Run run) {
  return error_text<DataError>(run, "");
}

}  // namespace inlay
