// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace inlay {

/// The text of the error that `body` throws, or `none`.
template <class Error, class Body>
std::string error_text(const Body& body, const std::string& none = "no error") {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return none;
}

}  // namespace inlay
