// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "core/random.h"
#include "data/template/jinja.h"
#include "tests/data/template/golden.h"

/// Templates come from strangers: whatever they hold, rendering ends soon, in text or a DataError.
namespace inlay {
namespace {

using jinja::Value;

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

struct Hostile {
  std::string what;
  std::string source;
  std::string error;  // a part of the sentence, or "" where it renders
};

std::vector<Hostile> hostile_templates() {
  const std::string thousand = "{% for a in range(1000) %}";
  const std::string doubling = "{% set ns = namespace(x='ab') %}" + thousand;
  const std::string list = "{% set ns = namespace(x=[1]) %}" + thousand;
  const std::string end = "{% endfor %}";
  return {
      {"nested loops", thousand + thousand + thousand + "{{ a }}" + end + end + end, "steps"},
      {"doubling text", doubling + "{% set ns.x = ns.x ~ ns.x %}" + end, "more than"},
      {"doubling text by +", doubling + "{% set ns.x = ns.x + ns.x %}" + end, "a text of more"},
      {"doubling text by *", doubling + "{% set ns.x = ns.x * 1000 %}" + end, "a text of more"},
      {"doubling text by replace", doubling + "{% set ns.x = ns.x|replace('a', ns.x) %}" + end,
       "more than"},
      {"doubling text by join", doubling + "{% set ns.x = [ns.x, ns.x]|join(ns.x) %}" + end,
       "a text of more"},
      {"doubling text by a macro",
       "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}" + doubling + "{% set ns.x = m(ns.x) %}" + end,
       "more than"},
      {"doubling text by a set block",
       doubling + "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}" + end,
       "more than"},
      {"doubling lists", list + "{% set ns.x = ns.x + ns.x %}" + end, "steps"},
      {"multiplied lists", "{{ ([1] * 100000) * 100000 }}", "steps"},
      {"deepening lists", list + "{% set ns.x = [ns.x] %}" + end, "nested more than 100 deep"},
      {"deepening dicts", list + "{% set ns.x = {'a': ns.x} %}" + end, "nested more than 100 deep"},
      {"a list that names itself ever more often, printed",
       "{% set ns = namespace(x=[1]) %}{% for a in range(90) %}{% set ns.x = [ns.x, ns.x] %}" +
           end + "{{ ns.x }}",
       "steps"},
      {"the same, as JSON",
       "{% set ns = namespace(x=[1]) %}{% for a in range(90) %}{% set ns.x = [ns.x, ns.x] %}" +
           end + "{{ ns.x|tojson }}",
       "steps"},
      {"the same, compared",
       "{% set ns = namespace(x=[1], y=[1]) %}{% for a in range(90) %}"
       "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}" +
           end + "{{ ns.x == ns.y }}",
       "steps"},
      {"the same, ordered",
       "{% set ns = namespace(x=[1], y=[1]) %}{% for a in range(90) %}"
       "{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}" +
           end + "{{ ns.x < ns.y }}",
       "steps"},
      {"endless recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
       "inside one another"},
      {"branching recursion",
       "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
       "steps"},
      {"a macro in a default", "{% macro m(a=m()) %}{% endmacro %}{{ m() }}", "inside one another"},
      {"map of map", "{{ 'a'|map(" + repeated("'map', ", 250) + "'list')|list }}",
       "nested more than 100 deep"},
      {"a search of products",
       "{% set a = 'a' * 4000000 %}{{ (a[1:] ~ 'b') in a }}{{ ('a' * 2000000 ~ 'b') in a }}",
       "steps"},
      {"a namespace in a namespace in a namespace",
       "{% set ns = namespace() %}" + thousand +
           "{% for b in range(100) %}"
           "{% set ns.x = namespace(x=ns.x) %}" +
           end + end,
       ""},
      {"a namespace that holds itself", "{% set ns = namespace() %}{% set ns.x = [ns] %}ok", ""},
      {"a loop that outlives itself",
       "{% set ns = namespace() %}{% for a in [1, 2] if ns.x is not defined %}"
       "{% set ns.x = loop %}" +
           end + "{{ ns.x.length }}{{ ns.x.last }}",
       ""},
      {"a macro that outlives its loop",
       "{% set ns = namespace() %}{% for a in [1] %}{% macro m() %}{{ a }}{% endmacro %}"
       "{% set ns.m = m %}" +
           end + "{{ ns.m() }}",
       ""},
      {"a recursive loop without end", "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "inside one another"},
      {"a recursive loop that branches",
       "{% for a in range(60) recursive %}{{ loop(range(60)) if loop.depth < 60 }}{% endfor %}",
       "steps"},
      {"a recursive loop that outlives itself",
       "{% set ns = namespace() %}{% for a in [1] recursive %}{% set ns.x = loop %}" + end +
           "{{ ns.x([1]) }}",
       "while it runs"},
      {"a call block in a call block",
       "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}"
       "{% call m() %}x{% endcall %}",
       "inside one another"},
      {"a caller that outlives its call",
       "{% set ns = namespace() %}{% macro m() %}{% set ns.c = caller %}{% endmacro %}"
       "{% for a in [1] %}{% call m() %}{{ a }}{% endcall %}" +
           end + "{{ ns.c() }}",
       ""},
      {"cyclers and joiners in themselves",
       "{% set ns = namespace() %}{% set ns.c = cycler(ns) %}{% set ns.j = joiner(ns.c) %}ok", ""},
      {"keys that name themselves ever more often",
       "{% set ns = namespace(x=(1, 2)) %}{% for a in range(90) %}"
       "{% set ns.x = (ns.x, ns.x) %}" +
           end + "{{ {ns.x: 1} }}",
       "cannot be a key"},
      {"a width beyond all texts", "{{ '%999999999999d' % 1 }}", "a text of more"},
      {"a precision beyond all texts", "{{ '%.999999999999f' % 1 }}", "a precision of more"},
      {"digits beyond all texts", "{{ '%.999999999999d' % 1 }}", "a text of more"},
      {"a field as wide as no text", "{{ '{:>{}}'.format(1, 99999999999) }}", "a text of more"},
      {"fields in fields", "{{ '" + repeated("{", 99'999) + "'.format() }}", "not closed"},
      {"fields in a specification", "{{ '{:{:{:{}}}}'.format(1, 2, 3, 4) }}", "nested too deep"},
      {"doubling text by format", doubling + "{% set ns.x = '%s%s' % (ns.x, ns.x) %}" + end,
       "more than"},
      {"doubling text by fields", doubling + "{% set ns.x = '{0}{0}'.format(ns.x) %}" + end,
       "more than"},
      {"doubling text by escapes",
       doubling + "{% set ns.x = (ns.x ~ '&&&&')|e|string ~ '' %}" + end, "more than"},
      {"tabs", "{{ ('\\t' * 1000000).expandtabs(1000) }}", "a text of more"},
      {"batches of more than there is", "{{ [1]|batch(99999999999, 0)|list }}", "steps"},
      {"more slices than items", "{{ [1]|slice(99999999999)|list }}", "steps"},
      {"a long word in narrow lines", "{{ ('a' * 9000000)|wordwrap(1) }}", "steps"},
      {"a tuple of arguments without end", "{{ range(*range(100000)) }}", "takes at most"},
      {"macros in every round", thousand + thousand + "{% macro m() %}{% endmacro %}" + end + end,
       "steps"},
      {"deep brackets", "{{ " + repeated("(", 100'000) + repeated(")", 100'000) + " }}",
       "nested too deep"},
      {"deep lists", "{{ " + repeated("[", 100'000), "not closed"},
      {"deep signs", "{{ " + repeated("- ", 100'000) + "1 }}", "nested too deep"},
      {"deep nots", "{{ " + repeated("not ", 100'000) + "1 }}", "nested too deep"},
      {"deep conditions", "{{ " + repeated("1 if 1 else ", 50'000) + "1 }}", "nested too deep"},
      {"long conditions", "{{ 1" + repeated(" if 1", 50'000) + " }}", "operations in a chain"},
      {"long sums", "{{ 1" + repeated(" + 1", 100'000) + " }}", "operations in a chain"},
      {"long ands", "{{ 1" + repeated(" and 1", 100'000) + " }}", "operations in a chain"},
      {"long powers", "{{ 1" + repeated(" ** 1", 100'000) + " }}", "operations in a chain"},
      {"long attributes", "{{ a" + repeated(".a", 100'000) + " }}", "operations in a chain"},
      {"long subscripts", "{{ a" + repeated("[0]", 100'000) + " }}", "operations in a chain"},
      {"long calls", "{{ a" + repeated("()", 100'000) + " }}", "operations in a chain"},
      {"long filters", "{{ a" + repeated("|trim", 100'000) + " }}", "operations in a chain"},
      {"long joins", "{{ 1" + repeated(" ~ 1", 100'000) + " }}", ""},
      {"long comparisons", "{{ 1" + repeated(" == 1", 100'000) + " }}", ""},
      {"long lists", "{{ [" + repeated("1,", 200'000) + "]|length }}", ""},
      {"long dicts", "{{ {" + repeated("1:1,", 200'000) + "}|length }}", ""},
      {"many arguments", "{{ f(" + repeated("1,", 200'000) + ") }}", "more than 255 arguments"},
      {"many parameters", "{% macro m(" + repeated("a,", 3) + ") %}",
       "the parameter \"a\" is named twice"},
      {"deep tags", repeated("{% if 1 %}", 50'000), "nested too deep"},
      {"deep targets", "{% for " + repeated("(", 100'000) + "a", "not closed"},
      {"deep assignments",
       "{% set " + repeated("(", 50'000) + "a" + repeated(")", 50'000) + " = 1 %}",
       "nested too deep"},
      {"long elif chains", "{% if 0 %}" + repeated("{% elif 0 %}", 50'000) + "{% endif %}", ""},
      {"many tags", repeated("{{ 1 }}", 100'000), ""},
      {"blanks", repeated(" ", 1 << 20), ""},
      {"blanks and signs", repeated(" {{- 1 -}} ", 90'000), ""},
      {"unclosed raw", repeated("{% raw %}", 100'000), "not closed"},
      {"unclosed comments", repeated("{#", 200'000), "not closed"},
      {"brackets", repeated("{", 1'000'000), "not closed"},
      {"a long source", repeated(" ", (1 << 20) + 1), "longer than 1048576 bytes"},
      {"a wide indent", "{{ 'a\nb'|indent(9223372036854775807) }}", "a text of more"},
      {"a deep indent", "{{ {'a': [1]}|tojson(indent=9223372036854775807) }}", "a text of more"},
      {"a slice of large steps", "{{ [1, 2][::9223372036854775807] }}", ""},
      {"a slice of small steps", "{{ [1, 2][::-9223372036854775807] }}", ""},
      {"sorting", "{{ (range(100000)|list * 20)|sort|length }}", "steps"},
      {"splitting", "{{ ('a ' * 30000000).split()|length }}", "steps"},
      {"characters", "{{ ('a' * 60000000)|list|length }}", "steps"},
  };
}

// Of processor time: a template at its limits takes about one, and ten times that under sanitizers.
constexpr double kSeconds = 10.0;

TEST(TemplateLimits, EndHostileTemplatesSoon) {
  for (const Hostile& hostile : hostile_templates()) {
    const std::clock_t start = std::clock();
    const std::string error =
        data_error([&] { JinjaTemplate::parse(hostile.source, "t").render(Value(jinja::Dict())); });
    const double taken = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_LT(taken, kSeconds) << hostile.what;
    EXPECT_EQ(error.empty(), hostile.error.empty()) << hostile.what << ": " << error.substr(0, 200);
    EXPECT_NE(error.find(hostile.error), std::string::npos) << hostile.what << ": " << error;
    EXPECT_LT(error.size(), 500U) << hostile.what;
  }
}

TEST(TemplateLimits, CanBeSetByTheCaller) {
  const auto parsed = JinjaTemplate::parse("{% for x in range(10) %}{{ x }}{% endfor %}", "t");
  jinja::RenderOptions options;
  options.limits.steps = 20;
  EXPECT_EQ(data_error([&] { parsed.render(Value(jinja::Dict()), options); }),
            "t: line 1: the template takes more than 20 steps; does a loop or a repetition grow "
            "without end?");
  options.limits = {.text_bytes = 9};
  EXPECT_EQ(data_error([&] { parsed.render(Value(jinja::Dict()), options); }),
            "t: line 1: a text of more than 9 bytes");
  options.limits = {.depth = 2};
  EXPECT_EQ(data_error([&] { parsed.render(Value(jinja::Dict()), options); }),
            "t: line 1: more than 2 statements, expressions and calls inside one another; does a "
            "macro call itself without end?");
}

/// Deterministic random numbers, one after the other.
class Dice {
 public:
  explicit Dice(u64 seed) : key_(seed) {}
  std::size_t below(std::size_t bound) { return random_below(key_, draw_++, bound); }

 private:
  RandomKey key_;
  u64 draw_ = 0;
};

/// Cuts templates where their tokens are, so that mutations stay close to the language.
std::vector<std::string> pieces_of(const std::string& source) {
  std::vector<std::string> pieces(1);
  for (const char c : source) {
    const bool word = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    const std::string& last = pieces.back();
    const bool in_word =
        !last.empty() &&
        (std::isalnum(static_cast<unsigned char>(last.back())) != 0 || last.back() == '_');
    if (word && in_word) {
      pieces.back() += c;
    } else {
      pieces.emplace_back(1, c);
    }
  }
  return pieces;
}

std::string mutated(const std::string& source, const std::string& other, Dice& dice) {
  std::vector<std::string> pieces = pieces_of(source);
  const std::vector<std::string> donor = pieces_of(other);
  const std::size_t edits = 1 + dice.below(4);
  for (std::size_t i = 0; i < edits && !pieces.empty(); ++i) {
    const std::size_t at = dice.below(pieces.size());
    switch (dice.below(5)) {
      case 0:
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 1:
        pieces[at] = donor[dice.below(donor.size())];
        break;
      case 2:
        pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(at),
                      donor[dice.below(donor.size())]);
        break;
      case 3:
        std::swap(pieces[at], pieces[dice.below(pieces.size())]);
        break;
      default:
        pieces[at] += static_cast<char>(dice.below(256));
    }
  }
  std::string out;
  for (const std::string& piece : pieces) {
    out += piece;
  }
  return out;
}

/// Everything in the golden files: whole chat templates, and one source for each language feature.
std::vector<std::string> seeds() {
  std::vector<std::string> all;
  const std::filesystem::path folder =
      std::filesystem::path(INLAY_SOURCE_DIR) / "tests/golden/templates";
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".jinja") {
      files.push_back(entry.path().filename().string());
    }
  }
  std::sort(files.begin(), files.end());
  std::transform(files.begin(), files.end(), std::back_inserter(all), golden_text);
  const auto language = golden_json("language.json");
  for (const auto& [topic, cases] : language["topics"].items()) {
    for (const auto& entry : cases) {
      all.push_back(entry[0]);
    }
  }
  return all;
}

TEST(TemplateLimits, MutatedTemplatesNeverDoWorseThanADataError) {
  const std::vector<std::string> sources = seeds();
  const Value context = Value::from_json(golden_json("language.json")["context"], "context");
  jinja::RenderOptions options;
  options.limits = {.steps = 20'000, .text_bytes = 1 << 16};
  options.now = CivilTime::parse("2025-01-31");
  Dice dice(7);
  int parsed = 0;
  int rendered = 0;
  constexpr int kRounds = 20'000;
  for (int i = 0; i < kRounds; ++i) {
    const std::string& source = sources[dice.below(sources.size())];
    const std::string mutant = mutated(source, sources[dice.below(sources.size())], dice);
    const std::string error = data_error([&] {
      const auto program = JinjaTemplate::parse(mutant, "t");
      ++parsed;
      program.render(context, options);
      ++rendered;
    });
    EXPECT_LT(error.size(), 600U) << mutant;
  }
  // The mutations must reach the evaluator to be worth their time.
  EXPECT_GT(parsed, kRounds / 10);
  EXPECT_GT(rendered, kRounds / 20);
}

}  // namespace
}  // namespace inlay
