// SPDX-License-Identifier: Apache-2.0
#include "data/template/jinja.h"

#include <utility>

#include "core/error.h"

namespace inlay {

JinjaTemplate::JinjaTemplate(jinja::ParsedTemplate parsed, std::string name)
    : block_(std::make_shared<const jinja::Block>(std::move(parsed.block))),
      name_(std::move(name)),
      has_generation_(parsed.has_generation),
      reads_date_(parsed.reads_date) {}

JinjaTemplate JinjaTemplate::parse(const std::string& source, std::string name_for_errors) {
  jinja::ParsedTemplate parsed = jinja::parse_template(source, name_for_errors);
  return {std::move(parsed), std::move(name_for_errors)};
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
