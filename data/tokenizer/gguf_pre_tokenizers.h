// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace inlay {

/// A way to split that `tokenizer.ggml.pre` can name.
struct GgufPreTokenizer {
  std::initializer_list<std::string_view> names;
  std::initializer_list<std::string_view> patterns;  // each isolates its matches
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

/// The one called `name`. Throws DataError, which names `file` and all there are, for another.
const GgufPreTokenizer& gguf_pre_tokenizer(const std::string& name, const std::string& file);

}  // namespace inlay
