// SPDX-License-Identifier: Apache-2.0
#include "data/template/parser.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/expression_parser.h"
#include "data/template/token_stream.h"

namespace inlay::jinja {
namespace {

/// Tags of Jinja that need other templates, and those of extensions that Transformers leaves out.
constexpr std::string_view kOtherTags[] = {"extends", "from", "import", "include", "do", "debug"};
constexpr std::string_view kTags[] = {"if",         "for",   "set",     "macro", "call",
                                      "filter",     "with",  "block",   "print", "autoescape",
                                      "generation", "break", "continue"};

/// As many as a call can have arguments.
constexpr std::size_t kMaxParameters = 255;

using Ends = std::initializer_list<std::string_view>;

class Parser {
 public:
  Parser(std::string_view source, std::string_view name)
      : tokens_(tokenize(source, name), name), expressions_(tokens_) {}

  ParsedTemplate run() {
    Block block = statements({});
    if (!tokens_.current().is(TokenKind::kEnd)) {
      tokens_.fail(str("unexpected ", described(tokens_.current())));
    }
    return {std::move(block), expressions_.reads_date(), has_generation_};
  }

 private:
  bool at_end_tag(Ends ends) const {
    return tokens_.current().is(TokenKind::kBlockBegin) &&
           std::any_of(ends.begin(), ends.end(),
                       [&](std::string_view end) { return tokens_.ahead().is_name(end); });
  }

  Block statements(Ends ends) {
    Block block;
    while (!tokens_.current().is(TokenKind::kEnd) && !at_end_tag(ends)) {
      block.push_back(statement());
    }
    return block;
  }

  Statement statement() {
    const Token token = tokens_.next();
    if (token.is(TokenKind::kText)) {
      return {token.line, Text{token.text}};
    }
    if (token.is(TokenKind::kBlockBegin)) {
      const TokenStream::Level level(tokens_);
      return tag(token.line);
    }
    Output output;
    output.values.push_back(expressions_.parse_tuple());
    tokens_.expect(TokenKind::kVariableEnd, "}} after an expression");
    return {token.line, std::move(output)};
  }

  Statement tag(int line) {
    const Token name = tokens_.next();
    if (name.is_name("if")) {
      return {line, if_tag()};
    }
    if (name.is_name("for")) {
      return {line, for_tag()};
    }
    if (name.is_name("set")) {
      return set_tag(line);
    }
    if (name.is_name("macro")) {
      return {line, macro_tag()};
    }
    if (name.is_name("call")) {
      return {line, call_tag()};
    }
    if (name.is_name("filter")) {
      FilterBlock node;
      node.filters = expressions_.parse_filters();
      body("filter", line, {"endfilter"}, node.body);
      close_tag();
      return {line, std::move(node)};
    }
    if (name.is_name("with")) {
      return {line, with_tag(line)};
    }
    if (name.is_name("block")) {
      return {line, block_tag(line)};
    }
    if (name.is_name("print")) {
      return {line, print_tag()};
    }
    if (name.is_name("autoescape")) {
      return {line, autoescape_tag(line)};
    }
    if (name.is_name("generation")) {
      return {line, generation_tag(line)};
    }
    if (name.is_name("break") || name.is_name("continue")) {
      return loop_control(name);
    }
    fail_unknown(name);
  }

  [[noreturn]] void fail_unknown(const Token& name) const {
    if (!name.is(TokenKind::kName)) {
      tokens_.fail(name.line, str("expected a tag after {%, found ", described(name)));
    }
    if (std::find(std::begin(kOtherTags), std::end(kOtherTags), name.text) !=
        std::end(kOtherTags)) {
      tokens_.fail(name.line, str("the tag \"", name.text, "\" is not supported"));
    }
    if (name.text.starts_with("end") || name.text == "else" || name.text == "elif") {
      tokens_.fail(name.line, str("\"", printable(name.text), "\" without the tag it belongs to"));
    }
    tokens_.fail(name.line,
                 str("unknown tag \"", printable(name.text), "\"", did_you_mean(name.text, kTags)));
  }

  /// The end of an opening tag and the body, up to one of `ends`, whose name is taken and returned.
  std::string body(std::string_view tag, int line, Ends ends, Block& block) {
    tokens_.take_operator(":");  // allowed by Jinja, for those who come from Python
    tokens_.expect(TokenKind::kBlockEnd, "%}");
    block = statements(ends);
    if (tokens_.current().is(TokenKind::kEnd)) {
      tokens_.fail(line, str("the tag \"", tag, "\" is not closed by \"", *(ends.end() - 1), "\""));
    }
    tokens_.next();
    return tokens_.next().text;
  }
  void close_tag() { tokens_.expect(TokenKind::kBlockEnd, "%}"); }

  If if_tag() {
    If node;
    const int line = tokens_.line();
    std::string end = "elif";
    while (end == "elif") {
      // A branch that no rendering reaches may name what inlay does not have.
      const ExpressionParser::Conditionally guard(expressions_);
      ExpressionPtr test = expressions_.parse_tuple(/*conditional=*/false);
      Block block;
      end = body("if", line, {"elif", "else", "endif"}, block);
      node.branches.emplace_back(std::move(test), std::move(block));
    }
    if (end == "else") {
      const ExpressionParser::Conditionally guard(expressions_);
      body("if", line, {"endif"}, node.otherwise);
    }
    close_tag();
    return node;
  }

  For for_tag() {
    For node;
    const int line = tokens_.line();
    ++loops_;  // its variable cannot be called "loop" either
    node.target = target(/*attributes=*/false);
    --loops_;
    if (!tokens_.take_name("in")) {
      tokens_.fail(str("expected \"in\" after the variable of a loop, found ",
                       described(tokens_.current())));
    }
    node.items = expressions_.parse_tuple(/*conditional=*/false);
    if (tokens_.take_name("if")) {
      node.condition = expressions_.parse();
    }
    node.recursive = tokens_.take_name("recursive");
    ++loops_;
    const std::string end = body("for", line, {"else", "endfor"}, node.body);
    --loops_;
    if (end == "else") {
      body("for", line, {"endfor"}, node.otherwise);
    }
    close_tag();
    return node;
  }

  Target single_target(bool attributes) {
    if (tokens_.take_operator("(")) {
      Target inner = target(attributes);
      tokens_.expect_operator(")", "the variables");
      return inner;
    }
    Target single;
    single.name = tokens_.expect_identifier("the name of a variable");
    static constexpr std::string_view kConstants[] = {"true",  "True", "false",
                                                      "False", "none", "None"};
    if (std::find(std::begin(kConstants), std::end(kConstants), single.name) !=
        std::end(kConstants)) {
      tokens_.fail(str("\"", single.name, "\" cannot be assigned to"));
    }
    if (loops_ > 0 && single.name == "loop") {
      tokens_.fail("\"loop\" cannot be assigned to inside a loop");
    }
    if (attributes && tokens_.take_operator(".")) {
      single.attribute = tokens_.expect_identifier("the name of an attribute");
    }
    return single;
  }

  Target target(bool attributes) {
    const TokenStream::Level level(tokens_);
    Target first = single_target(attributes);
    if (!tokens_.current().is_operator(",")) {
      return first;
    }
    Target tuple;
    tuple.parts.push_back(std::move(first));
    while (tokens_.take_operator(",")) {
      tuple.parts.push_back(single_target(attributes));
    }
    return tuple;
  }

  Statement set_tag(int line) {
    Target assigned = target(/*attributes=*/true);
    if (tokens_.take_operator("=")) {
      ExpressionPtr value = expressions_.parse_tuple();
      close_tag();
      return {line, Set{std::move(assigned), std::move(value)}};
    }
    SetBlock node;
    node.target = std::move(assigned);
    node.filters = expressions_.parse_filters_of_block();
    body("set", line, {"endset"}, node.body);
    close_tag();
    return {line, std::move(node)};
  }

  Macro macro_tag() {
    Macro node;
    const int line = tokens_.line();
    node.name = tokens_.expect_identifier("the name of a macro");
    parameters(node);
    macro_body("macro", line, "endmacro", node);
    return node;
  }

  CallBlock call_tag() {
    CallBlock node;
    const int line = tokens_.line();
    if (tokens_.current().is_operator("(")) {
      parameters(node.caller);
    }
    node.call = expressions_.parse_call();
    macro_body("call", line, "endcall", node.caller);
    return node;
  }

  void parameters(Macro& node) {
    tokens_.expect_operator("(", "the name of a macro");
    while (!tokens_.current().is_operator(")")) {
      parameter(node);
      if (!tokens_.take_operator(",")) {
        break;
      }
    }
    tokens_.expect_operator(")", "the parameters of a macro");
  }

  /// A body of its own: the loops and generation blocks around it do not reach in.
  void macro_body(std::string_view tag, int line, std::string_view end, Macro& node) {
    // A block, macro or generation block is compiled by itself in Jinja: a break in it cannot leave
    // the loop around it.
    const int loops = std::exchange(loops_, 0);
    const bool generation = std::exchange(in_generation_, false);
    expressions_.enter_macro(node);
    body(tag, line, {end}, node.body);
    expressions_.leave_macro();
    loops_ = loops;
    in_generation_ = generation;
    for (const auto& [name, otherwise] : node.parameters) {
      if (name == "caller" && node.reads_caller && otherwise == nullptr) {
        tokens_.fail(line, "the parameter \"caller\" of a macro needs a default");
      }
    }
    close_tag();
  }

  With with_tag(int line) {
    With node;
    while (!tokens_.current().is(TokenKind::kBlockEnd)) {
      if (!node.variables.empty()) {
        tokens_.expect_operator(",", "a variable");
      }
      Target assigned = target(/*attributes=*/false);
      tokens_.expect_operator("=", "the name of a variable");
      node.variables.emplace_back(std::move(assigned), expressions_.parse());
    }
    body("with", line, {"endwith"}, node.body);
    close_tag();
    return node;
  }

  NamedBlock block_tag(int line) {
    NamedBlock node;
    const std::string name = tokens_.expect_identifier("the name of a block");
    if (!blocks_.insert(name).second) {
      tokens_.fail(line, str("there are two blocks named \"", name, '"'));
    }
    // Only a scoped block sees the variables of the loop around it.
    node.scoped = tokens_.take_name("scoped");
    if (tokens_.current().is_name("required")) {
      tokens_.fail(line, "a required block needs another template, of which there is none");
    }
    const int loops = std::exchange(loops_, 0);
    body("block", line, {"endblock"}, node.body);
    loops_ = loops;
    tokens_.take_name(name);
    close_tag();
    return node;
  }

  Output print_tag() {
    Output node;
    while (!tokens_.current().is(TokenKind::kBlockEnd)) {
      if (!node.values.empty()) {
        tokens_.expect_operator(",", "a value");
      }
      node.values.push_back(expressions_.parse());
    }
    close_tag();
    return node;
  }

  /// Only the one that changes nothing: a scope.
  With autoescape_tag(int line) {
    const ExpressionPtr on = expressions_.parse();
    const auto* literal = std::get_if<Literal>(&on->node);
    if (literal == nullptr || literal->value.truthy()) {
      tokens_.fail(line, "the tag \"autoescape\" is supported with false only");
    }
    With node;
    body("autoescape", line, {"endautoescape"}, node.body);
    close_tag();
    return node;
  }

  void parameter(Macro& macro) {
    const int line = tokens_.line();
    if (macro.parameters.size() >= kMaxParameters) {
      tokens_.fail(str("more than ", kMaxParameters, " parameters"));
    }
    std::string name = tokens_.expect_identifier("the name of a parameter");
    for (const auto& [other, unused] : macro.parameters) {
      if (other == name) {
        tokens_.fail(line, str("the parameter \"", name, "\" is named twice"));
      }
    }
    ExpressionPtr otherwise;
    if (tokens_.take_operator("=")) {
      otherwise = expressions_.parse();
    } else if (!macro.parameters.empty() && macro.parameters.back().second != nullptr) {
      tokens_.fail(line, "a parameter without a default stands behind one with a default");
    }
    macro.parameters.emplace_back(std::move(name), std::move(otherwise));
  }

  Generation generation_tag(int line) {
    if (in_generation_) {
      tokens_.fail(line, "generation blocks cannot stand inside one another");
    }
    Generation node;
    in_generation_ = true;
    has_generation_ = true;
    const int loops = std::exchange(loops_, 0);
    body("generation", line, {"endgeneration"}, node.body);
    loops_ = loops;
    in_generation_ = false;
    close_tag();
    return node;
  }

  Statement loop_control(const Token& name) {
    if (loops_ == 0) {
      tokens_.fail(name.line, str("\"", name.text, "\" stands outside of a loop"));
    }
    close_tag();
    if (name.text == "break") {
      return {name.line, Break()};
    }
    return {name.line, Continue()};
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;
  bool in_generation_ = false;
  bool has_generation_ = false;
  std::set<std::string> blocks_;
};

}  // namespace

ParsedTemplate parse_template(std::string_view source, std::string_view name) {
  return Parser(source, name).run();
}

}  // namespace inlay::jinja
