// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace inlay {

/// The text of the error that `body` throws, or "no error".
template <class Error, class Body>
std::string error_text(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace inlay
