// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/types.h"
#include "data/example.h"
#include "data/tokenizer/tokenizer.h"

/// Examples as the model will see them, for people and for programs. The tokenizer may be null:
/// then tokens are shown by their ids.
namespace inlay {

struct ShowOptions {
  /// Tell what is trained on by colour (a terminal), not by marks.
  bool colour = false;
  /// Tokens of the row before it was cut to max_length; 0: as many as the example has.
  i64 length = 0;
};

/// Two lines, the first with counts, the second with the tokens apart by │ and those trained on
/// between « and »:
///
///   line 12: 9 tokens, 3 trained
///   <|im_start|>│user│\n│Hi│<|im_end|>│\n│…«Hello│.│<|im_end|>»
///
/// Line ends, other characters that would not show or would reach the terminal, the backslash and
/// the marks themselves are escaped by a backslash. A character of several tokens stands at its
/// last one, and those before it are shown as ·. Where a label is another token than the one in its
/// place, both are shown: id→label.
std::string show_example(const Example& example, const Tokenizer* tokenizer,
                         const ShowOptions& options = {});

/// One line of JSON: {"line": 12, "length": 9, "ids": […], "labels": […], "pieces": […]}, pieces as
/// the tokenizer's file spells them, and not there without a tokenizer.
std::string example_json(const Example& example, const Tokenizer* tokenizer,
                         const ShowOptions& options = {});

}  // namespace inlay
