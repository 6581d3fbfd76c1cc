// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

/// Chat templates by the names under which tools know the formats, for base models that have none
/// of their own, or for trying another.
namespace inlay {

struct NamedTemplateText {
  std::string_view name;    // "chatml"
  std::string_view models;  // whose format it is
  std::string_view text;    // Jinja
};

/// All of them: they know a system message, keep the thoughts they know of in every turn, and take
/// the model's bos_token and eos_token where it has these, else the usual ones of the format.
std::span<const NamedTemplateText> named_templates();

/// That of this name, or null.
const NamedTemplateText* find_named_template(std::string_view name);

}  // namespace inlay
