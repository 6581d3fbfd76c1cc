// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/normalizer.h"

namespace inlay {

/// A row between its columns and its tokens: the text that a format makes of it, and the places in
/// it that matter. Ranges and places are bytes of `text`.
struct RowText {
  enum class Origin {
    kUser,      // all of it is plain text; bos and eos are put around it
    kTemplate,  // rendered: has its own control tokens, and those of users broken (control_text.h)
  };
  Origin origin = Origin::kUser;
  std::string text;
  /// What is to be learnt, in order and apart; nothing stands for all of it.
  std::optional<std::vector<ByteRange>> learnt;
  /// Where the text is cut before it is encoded, ascending: where what the model is given ends and
  /// what it has to write begins. When it is used, it sees the former encoded on its own.
  std::vector<i64> cuts;
  /// An eos spelt out at the end was taken off the text, and is to be put there as a token.
  bool ends = false;
  /// A user's text in it spells a control token. When rendered, it is marked (control_text.h).
  bool spells_control = false;
};

/// Which parts of a row are learnt; null: what its columns suggest.
struct LossOptions {
  std::optional<bool> completion_only;
  std::optional<bool> assistant_only;
};

// Rows of plain text, REQUIRED to have the columns of their format. Throw DataError for a column
// that is not a string.

/// All of the text is learnt. Throws DataError when it is empty.
RowText text_row(std::string text);
RowText text_row(const nlohmann::ordered_json& row);

/// The completion is learnt, or both.
RowText prompt_completion_row(const nlohmann::ordered_json& row, const LossOptions& loss);

/// The same with the prompt that Alpaca was trained with, made of instruction and input; the output
/// follows it directly.
RowText alpaca_row(const nlohmann::ordered_json& row, const LossOptions& loss);

/// Takes `eos` off the end of `row`, of what is behind the last cut, if it is spelt out there.
void take_off_eos(RowText& row, std::string_view eos);

}  // namespace inlay
