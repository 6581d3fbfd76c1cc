// SPDX-License-Identifier: Apache-2.0
#include "data/template/jinja.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/error.h"
#include "data/template/parser.h"

namespace inlay {
namespace {

bool has_generation(const jinja::Block& block);

bool has_generation(const jinja::Statement& statement) {
  if (const auto* node = std::get_if<jinja::If>(&statement.node)) {
    return has_generation(node->otherwise) ||
           std::any_of(node->branches.begin(), node->branches.end(),
                       [](const auto& branch) { return has_generation(branch.second); });
  }
  if (const auto* node = std::get_if<jinja::For>(&statement.node)) {
    return has_generation(node->body) || has_generation(node->otherwise);
  }
  if (const auto* node = std::get_if<jinja::SetBlock>(&statement.node)) {
    return has_generation(node->body);
  }
  if (const auto* node = std::get_if<jinja::Macro>(&statement.node)) {
    return has_generation(node->body);
  }
  return std::holds_alternative<jinja::Generation>(statement.node);
}

bool has_generation(const jinja::Block& block) {
  return std::any_of(block.begin(), block.end(),
                     [](const jinja::Statement& s) { return has_generation(s); });
}

}  // namespace

JinjaTemplate::JinjaTemplate(jinja::Block block, std::string name)
    : block_(std::make_shared<const jinja::Block>(std::move(block))),
      name_(std::move(name)),
      has_generation_(inlay::has_generation(*block_)) {}

JinjaTemplate JinjaTemplate::parse(const std::string& source, std::string name_for_errors) {
  jinja::Block block = jinja::parse_template(source, name_for_errors);
  return {std::move(block), std::move(name_for_errors)};
}

std::string JinjaTemplate::render(const jinja::Value& context,
                                  const jinja::RenderOptions& options) const {
  return jinja::evaluate(*block_, context, name_, options).text;
}

jinja::Rendered JinjaTemplate::render_with_generations(const jinja::Value& context,
                                                       const jinja::RenderOptions& options) const {
  jinja::Rendered rendered = jinja::evaluate(*block_, context, name_, options);
  if (rendered.captured_generation_line > 0) {
    jinja::fail_at(name_, rendered.captured_generation_line,
                   "a generation block inside a macro or a set block has no place of its own in "
                   "the output");
  }
  return rendered;
}

}  // namespace inlay
