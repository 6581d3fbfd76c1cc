// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/template/chat_template.h"
#include "data/tokenizer/tokenizer.h"

namespace inlay {

/// The template that a run config's model.chat_template, or --chat-template, asks for:
///
///   "auto"   the model's own, or nothing where it has none
///   NAME     one of the model's own by its name ("tool_use", "rag" …), else one of ours
///            (named_templates.h)
///   PATH     a file
///
/// A file is what is meant where one has such a name. `model` opens errors about the model's own.
/// Throws IoError for a name that is none of these, with the names that there are.
std::optional<ChatTemplate> choose_chat_template(const std::string& wanted,
                                                 const Tokenizer& tokenizer,
                                                 const std::string& model);

}  // namespace inlay
