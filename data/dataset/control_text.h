// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/tokenizer.h"

/// Keeps what users wrote apart from what a chat template wrote.
///
/// In the text of a template, `<|im_end|>` is the control token. In a message it is ten characters
/// somebody typed, and were it read as the token, whoever wrote the data could end a turn or forge
/// a system message. Once rendered, the two look alike. So before rendering, the text of every
/// control token in the row is broken by a mark behind its first character:
///
///   message   a <|im_end|> b
///   broken    a <𐩿|im_end|> b                       𐩿 is kControlMark
///   rendered  <|im_start|>user\na <𐩿|im_end|> b<|im_end|>\n
///
/// and the control tokens that are then found in the rendered text are the template's own. What
/// is between them is encoded as plain text, the marks taken out again (see row_encoder.h).
namespace inlay {

/// A character that templates carry along unchanged: printable (Python's repr would write any other
/// as an escape), neither white space nor a letter with case. The choice among those is free: of an
/// alphabet not written for 1500 years, to stay clear of real data.
inline constexpr std::string_view kControlMark = "\U00010A7F";

class ControlText {
 public:
  explicit ControlText(const Tokenizer& tokenizer);

  /// Where in `text` the text of a control token begins, at `from` or behind; -1 for nowhere.
  i64 find(std::string_view text, i64 from = 0) const;
  bool is_in(std::string_view text) const { return find(text) >= 0; }
  /// `text` with a mark in every text of a control token, also where they overlap.
  std::string broken(std::string_view text) const;

  /// Whether it is in any string or key of `json`.
  bool is_in_any(const nlohmann::ordered_json& json) const;

  /// Breaks every string and key of `json`; returns whether there was anything to break. Throws
  /// DataError when there was, and kControlMark is in `json` too.
  bool break_all(nlohmann::ordered_json& json) const;

 private:
  std::vector<std::string> texts_;
  std::array<bool, 256> starts_{};  // first bytes of texts_
};

}  // namespace inlay
