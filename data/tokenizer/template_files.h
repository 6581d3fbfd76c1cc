// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/tokenizer/parts.h"

namespace inlay {

/// Reads what the files beside a tokenizer.json give to chat templates into `parts`, as
/// Transformers has it:
///
/// Templates. Where there is a chat_template.jinja ("default") or an
/// additional_chat_templates/NAME.jinja, these alone count; else the `chat_template` of
/// tokenizer_config.json: a text ("default"), a list of {"name", "template"}, or an object of texts
/// by name. A chat_template.json of the time before both is read where there is nothing else.
///
/// Tokens by name, which templates find as variables: the values a tokenizer class begins with
/// (GPT-2's bos_token …), then every "…_token" of tokenizer_config.json and the named
/// `extra_special_tokens`, then the same of special_tokens_map.json, which later versions read only
/// where tokenizer_config.json has no added_tokens_decoder. A null takes a token away. Ids in
/// config.json and generation_config.json name no token for a template.
///
/// Throws DataError for values of other types.
void read_template_files(const std::string& directory, TokenizerParts& parts);

}  // namespace inlay
