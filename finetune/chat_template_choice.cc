// SPDX-License-Identifier: Apache-2.0
#include "finetune/chat_template_choice.h"

#include <vector>

#include "core/error.h"
#include "core/io/file_system.h"
#include "data/template/named_templates.h"

namespace inlay {
namespace {

constexpr i64 kMaxTemplateBytes = 1 << 20;

[[noreturn]] void refuse_name(const std::string& wanted, const NamedTexts& own) {
  std::vector<std::string> names;
  std::string has;
  for (const auto& [name, text] : own) {
    names.push_back(name);
    has += str(has.empty() ? "; it has \"" : ", \"", printable(name), '"');
  }
  std::string ours;
  for (const NamedTemplateText& known : named_templates()) {
    names.emplace_back(known.name);
    ours += str(ours.empty() ? "" : ", ", known.name);
  }
  throw IoError(str(printable(wanted), ": there is no such file, nor a chat template of the model ",
                    "by this name", did_you_mean(wanted, names), has,
                    "; those that need no model are ", ours));
}

}  // namespace

std::optional<ChatTemplate> choose_chat_template(const std::string& wanted,
                                                 const Tokenizer& tokenizer,
                                                 const std::string& model) {
  const SpecialTokens& tokens = tokenizer.template_tokens();
  NamedTexts own;
  for (const NamedTemplate& t : tokenizer.chat_templates()) {
    own[t.name] = t.text;
  }
  if (wanted == "auto") {
    return own.empty()
               ? std::nullopt
               : std::optional(ChatTemplate::from_named(own, tokens, model + ": chat template"));
  }
  if (!is_file(wanted)) {
    if (const auto named = own.find(wanted); named != own.end()) {
      return ChatTemplate::from_text(named->second, tokens,
                                     str(model, ": chat template (", printable(wanted), ")"));
    }
    if (const NamedTemplateText* known = find_named_template(wanted)) {
      return ChatTemplate::from_text(std::string(known->text), tokens,
                                     str("chat template \"", known->name, '"'));
    }
    if (!exists(wanted) && is_plain_name(wanted)) {
      refuse_name(wanted, own);
    }
  }
  return ChatTemplate::from_text(file_system().read(wanted, kMaxTemplateBytes), tokens, wanted);
}

}  // namespace inlay
