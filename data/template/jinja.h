// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "data/template/evaluator.h"
#include "data/template/parser.h"
#include "data/template/syntax.h"
#include "data/template/value.h"

/// Jinja2 as far as chat templates use it, set up as Transformers sets it up: trim_blocks and
/// lstrip_blocks on, break and continue, tojson without HTML escaping, the immutable sandbox, and
/// {% generation %} blocks.
///
/// What it has: every statement but those that need other templates (include, import, extends), the
/// operators, slices and literals of Python, and the filters, tests, methods and functions in the
/// tables of builtins.h, which are all of Jinja's but those whose result differs from run to run
/// (random, lipsum) and urlize. Where Python's ways show (division, printing of floats
/// and lists, undefined variables) they are Python's. What it does not have is refused when the
/// template is parsed, with its line, wherever that can be known; nothing is silently left out.
///
/// Where to start reading: lexer.h, expression_parser.h, parser.h make the tree of syntax.h;
/// evaluator.h walks it over the values of value.h, on the budget of runtime.h.
namespace inlay {

class JinjaTemplate {
 public:
  /// Throws DataError `name: line 3: …`. `name` opens the messages of rendering too.
  static JinjaTemplate parse(const std::string& source, std::string name_for_errors);

  /// The text for the variables of `context`, a dict whose keys are strings. The same variables and
  /// options always give the same text. Throws DataError where the template fails or refuses.
  std::string render(const jinja::Value& context, const jinja::RenderOptions& options = {}) const;

  /// The same with the places of its {% generation %} blocks. Throws DataError also when such a
  /// block was printed inside a macro or a set block, where it has no place of its own.
  jinja::Rendered render_with_generations(const jinja::Value& context,
                                          const jinja::RenderOptions& options = {}) const;

  /// Whether there is a {% generation %} block anywhere in the template.
  bool has_generation() const { return has_generation_; }
  /// Whether it names strftime_now.
  bool reads_date() const { return reads_date_; }
  const std::string& name() const { return name_; }

 private:
  JinjaTemplate(jinja::ParsedTemplate parsed, std::string name);

  std::shared_ptr<const jinja::Block> block_;
  std::string name_;
  bool has_generation_;
  bool reads_date_;
};

}  // namespace inlay
