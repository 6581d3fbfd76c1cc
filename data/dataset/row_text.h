// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/types.h"
#include "data/dataset/loss_options.h"
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
  /// Where earlier answers end, ascending: places of an eos, for those who add one at the end.
  std::vector<i64> turn_ends;
  /// A user's text in it spells a control token. When rendered, it is marked (control_text.h).
  bool spells_control = false;
  /// Such spellings are read as the tokens they name: the text is taken as it stands, and nothing
  /// but an eos, where it has no end, is put around it.
  bool parse_control = false;
  /// No answer that is learnt has a text.
  bool empty_answer = false;
  // The chat template wrote nothing of a message, or of a tool.
  bool leaves_out_message = false;
  bool leaves_out_tools = false;
  /// Nor of what the assistant thought.
  bool leaves_out_thinking = false;
  /// A content of several parts was made one string, since the template takes no lists.
  bool joins_parts = false;
};

/// A row with nothing in it to train on: left out or refused, as the options say.
class EmptyRow : public DataError {
 public:
  using DataError::DataError;
};

class ChatRowReader;

/// What rows of text are read with besides their columns.
struct TextReading {
  LossOptions loss;
  ChatRowReader* chat = nullptr;  // null: the tokenizer has no chat template
};

// Rows of plain text, REQUIRED to have the columns of their format. Throw DataError for a column
// that is not a string.

/// All of the text is learnt. Throws EmptyRow when it is empty.
RowText text_row(std::string text);
RowText text_row(const nlohmann::ordered_json& row);

/// The completion is learnt, or both.
RowText prompt_completion_row(const nlohmann::ordered_json& row, const LossOptions& loss);

/// The same with the prompt that Alpaca was trained with, made of instruction and input; the output
/// follows it directly. A `system` that is not empty takes the place of the prompt's opening
/// sentence. `history`, a list of earlier turns [instruction, response], comes before the
/// instruction in the same form, and its responses are learnt, too, as LLaMA-Factory has both:
///
///   You are a clerk.\n\n### Instruction:\nHow was it?\n\n### Response:sunny<eos>\n\n### Instruct…
///
/// null is no text: of input, system, history and what stands in it.
RowText alpaca_row(const nlohmann::ordered_json& row, const LossOptions& loss);

/// Takes `eos` off the end of `row`, of what is behind the last cut, if it is spelt out there.
void take_off_eos(RowText& row, std::string_view eos);

}  // namespace inlay
