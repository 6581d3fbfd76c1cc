// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "data/dataset/row_text.h"
#include "data/example.h"
#include "data/tokenizer/tokenizer.h"

/// Rows of text to tokens and labels.
///
/// What users wrote is plain text: `<|im_end|>` in it becomes the tokens of those ten characters,
/// never the control token. Around it come the tokens that the tokenizer's files put around every
/// text (bos, for those models that have one), and eos.
///
/// Unless it is known that such text was put through a template beforehand (parse_control): then it
/// is taken as it stands, its control tokens read as such. Of what is put around texts it gets an
/// eos alone, and that only where it does not end in a control token.
///
/// What a template rendered is taken as it stands: its control tokens are read as such, and nothing
/// is put around it, since templates write bos themselves where the model wants one (Transformers
/// encodes them the same way).
///
/// The border between what is given and what is learnt is exact: the text is cut there and each
/// side encoded by itself, so the tokens before an answer are those the model will see when it is
/// asked. Encoded in one, "Answer:\n\n" and "Yes" can share a token or split the line ends
/// differently. There are tokenizers that put a blank before every text; cutting would write that
/// blank into the middle of one, so with them the text is encoded in one, and a token that
/// spans a border belongs to the answer.
namespace inlay {

class RowEncoder {
 public:
  RowEncoder(const Tokenizer& tokenizer, bool add_eos);

  /// A token is learnt when it stands for any byte of what is to be learnt, and so is an eos put
  /// behind a user's text. `line` is left to the caller.
  Example encode(const RowText& row) const;

 private:
  Example encode_user(const RowText& row) const;
  bool ends_in_control(const RowText& row, const std::vector<TokenSpan>& tokens) const;
  std::vector<TokenSpan> encode_cut(const RowText& row) const;
  std::vector<TokenSpan> encode_piece(std::string_view piece, const RowText& row) const;
  std::vector<TokenSpan> encode_marked(std::string_view piece) const;

  Tokenizer tokenizer_;
  bool add_eos_;
  std::vector<i32> prefix_;  // what the tokenizer puts before a text, and behind it
  std::vector<i32> suffix_;
  bool can_cut_ = true;
};

}  // namespace inlay
