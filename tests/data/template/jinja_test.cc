// SPDX-License-Identifier: Apache-2.0
#include "data/template/jinja.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/data/template/golden.h"

namespace inlay {
namespace {

using jinja::Value;

std::string rendered(const std::string& source, const Value& context,
                     const jinja::RenderOptions& options = {}) {
  return JinjaTemplate::parse(source, "t.jinja").render(context, options);
}

Value no_variables() {
  return Value(jinja::Dict());
}

/// What the template gives, or the error without its place.
std::string outcome(const std::string& source, const jinja::RenderOptions& options = {}) {
  std::string text;
  const std::string error = data_error([&] { text = rendered(source, no_variables(), options); });
  return error.empty() ? text : error;
}

/// `expected` is the output, or null where Jinja2 refuses the template too.
void expect_as_golden(const std::string& source, const nlohmann::ordered_json& expected,
                      const Value& context, const std::string& topic,
                      const jinja::RenderOptions& options) {
  std::string text;
  const std::string error = data_error([&] { text = rendered(source, context, options); });
  if (expected.is_null()) {
    EXPECT_NE(error, "") << topic << ": " << source << " should be refused, gives " << text;
    return;
  }
  EXPECT_EQ(error, "") << topic << ": " << source;
  EXPECT_EQ(text, expected.get<std::string>()) << topic << ": " << source;
}

/// How many cases of the file there are.
int expect_as_golden(const std::string& file) {
  const auto golden = golden_json(file);
  const Value context = Value::from_json(golden["context"], "context");
  jinja::RenderOptions options;
  if (golden.contains("now")) {
    options.now = CivilTime::parse(golden["now"].get<std::string>());
  }
  int cases = 0;
  for (const auto& [topic, list] : golden["topics"].items()) {
    for (const auto& entry : list) {
      expect_as_golden(entry[0], entry[1], context, topic, options);
      ++cases;
    }
  }
  return cases;
}

TEST(Jinja, AgreesWithJinja2OnTheLanguage) {
  EXPECT_GT(expect_as_golden("language.json"), 1000);
}

TEST(Jinja, AgreesWithJinja2OnWhatTheSandboxAllows) {
  EXPECT_GT(expect_as_golden("sandbox.json"), 800);
}

TEST(Jinja, RefusesWhatItDoesNotHave) {
  const auto golden = golden_json("language.json");
  const Value context = Value::from_json(golden["context"], "context");
  for (const auto& source : golden["refused"]) {
    const std::string error = data_error([&] { rendered(source, context); });
    EXPECT_EQ(error.rfind("t.jinja: line 1: ", 0), 0U) << source << ": " << error;
  }
}

struct Sentence {
  std::string source;
  std::string error;
};

void expect_sentences(const std::vector<Sentence>& sentences) {
  for (const Sentence& sentence : sentences) {
    EXPECT_EQ(outcome(sentence.source), "t.jinja: " + sentence.error) << sentence.source;
  }
}

TEST(Jinja, SaysWhatIsWrongWithTheSource) {
  expect_sentences({
      {"\n\n{{ 1 + }}", "line 3: expected a value, found }}"},
      {"a\n{% if x %}\n\nb", "line 2: the tag \"if\" is not closed by \"endif\""},
      {"{% for x in y %}", "line 1: the tag \"for\" is not closed by \"endfor\""},
      {"\n{{ 1\n", "line 2: the tag {{ is not closed"},
      {"{% if x", "line 1: the tag {% is not closed"},
      {"{# x", "line 1: the comment {# is not closed by #}"},
      {"{% raw %}", "line 1: {% raw %} is not closed by {% endraw %}"},
      {"{{ 'a }}", "line 1: a string is not closed by its quote"},
      {"{{ '\\x4g' }}", "line 1: a numeric escape in a string needs 2 hexadecimal digits"},
      {"{{ '\\ud800' }}", "line 1: a numeric escape in a string is not a character"},
      {"{{ '\\N{DASH}' }}",
       "line 1: the escape \\N{…} is not supported; \\u has the character by its number"},
      {"{{ 07 }}", "line 1: 07: a number does not begin with 0"},
      {"{{ 0b12 }}", "line 1: 0b12 is not a number"},
      {"{{ 9223372036854775808 }}", "line 1: 9223372036854775808 does not fit in a 64-bit integer"},
      {"{{ (1] }}", "line 1: expected \")\", found \"]\""},
      {"{{ 1) }}", "line 1: \")\" closes no bracket"},
      {"{{ a ? b }}", "line 1: unexpected character \"?\""},
      {"{{ a b }}", "line 1: expected }} after an expression, found \"b\""},
      {"{{ a. }}", "line 1: expected a name after \".\", found }}"},
      {"{{ a| }}", "line 1: expected the name of a filter after |, found }}"},
      {"{{ a|trimm }}", "line 1: unknown filter \"trimm\" (did you mean \"trim\"?)"},
      {"{{ a|urlize }}", "line 1: the filter \"urlize\" is not supported"},
      {"{{ a|random }}", "line 1: the filter \"random\" is not supported"},
      {"{% for x in y %}{{ 1 if x else x|trimm }}{{ x|trimm }}",
       "line 1: unknown filter \"trimm\" (did you mean \"trim\"?)"},
      {"{{ a is strin }}", "line 1: unknown test \"strin\" (did you mean \"string\"?)"},
      {"{{ a is }}", "line 1: expected the name of a test after `is`, found }}"},
      {"{{ a is odd is true }}",
       "line 1: a test cannot follow a test; put the first in parentheses"},
      {"{{ f(*a, b) }}", "line 1: arguments stand in the order: values, *list, name=value, **dict"},
      {"{{ f(**a, b=1) }}",
       "line 1: arguments stand in the order: values, *list, name=value, **dict"},
      {"{{ f(a=1, 2) }}", "line 1: an argument without a name stands behind one with a name"},
      {"{{ f(a=1, a=2) }}", "line 1: the argument \"a\" is given twice"},
      {"{{ [1 2] }}", "line 1: expected \"]\" after the items of a list, found \"2\""},
      {"{{ {1} }}", "line 1: expected \":\" after the key of a dict, found \"}\""},
      {"{{ self.x }}", "line 1: the variable \"self\" is not supported"},
      {"{% fro x in y %}", "line 1: unknown tag \"fro\" (did you mean \"for\"?)"},
      {"{% include 'x' %}", "line 1: the tag \"include\" is not supported"},
      {"{% endfor %}", "line 1: \"endfor\" without the tag it belongs to"},
      {"{% 1 %}", "line 1: expected a tag after {%, found \"1\""},
      {"{% if a b %}", "line 1: expected %}, found \"b\""},
      {"{% for x of y %}", "line 1: expected \"in\" after the variable of a loop, found \"of\""},
      {"{% autoescape true %}", "line 1: the tag \"autoescape\" is supported with false only"},
      {"{% block a required %}",
       "line 1: a required block needs another template, of which there is none"},
      {"{% block a %}{% endblock %}{% block a %}", "line 1: there are two blocks named \"a\""},
      {"{% call 5 %}", "line 1: expected a call of a macro after the tag \"call\""},
      {"{% with a %}", "line 1: expected \"=\" after the name of a variable, found %}"},
      {"{% filter %}", "line 1: expected the name of a filter after |, found %}"},
      {"{% break %}", "line 1: \"break\" stands outside of a loop"},
      {"{% for x in y %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}",
       "line 1: \"continue\" stands outside of a loop"},
      {"{% set true = 1 %}", "line 1: \"true\" cannot be assigned to"},
      {"{% for loop in x %}", "line 1: \"loop\" cannot be assigned to inside a loop"},
      {"{% set 1 = 2 %}", "line 1: expected the name of a variable, found \"1\""},
      {"{% macro m %}", "line 1: expected \"(\" after the name of a macro, found %}"},
      {"{% macro m(a=1, b) %}",
       "line 1: a parameter without a default stands behind one with a default"},
      {"{% macro m(a, a) %}", "line 1: the parameter \"a\" is named twice"},
      {"{% macro m(caller) %}{{ caller() }}{% endmacro %}",
       "line 1: the parameter \"caller\" of a macro needs a default"},
      {"{% generation %}{% generation %}",
       "line 1: generation blocks cannot stand inside one another"},
      {"a\n\xff", "line 2: the template is not valid UTF-8"},
  });
}

TEST(Jinja, SaysWhatIsWrongWhenRendering) {
  expect_sentences({
      {"\n{{ a.b }}", "line 2: the variable \"a\" is undefined"},
      {"{% set d = {'a': 1} %}{{ d.b.c }}", "line 1: a dict has no key or attribute \"b\""},
      {"{{ [1][5] + 1 }}", "line 1: a list has no item 5"},
      {"{{ 'a' + 1 }}", "line 1: a string + an integer is not possible; ~ joins anything as text"},
      {"{{ 'a' - 'b' }}", "line 1: a string - a string is not possible"},
      {"{{ '%d' % 'a' }}", "line 1: %d needs a number, not a string"},
      {"{{ '%s %s' % 1 }}", "line 1: %: there are fewer values than directives"},
      {"{{ '%s' % (1, 2) }}", "line 1: %: there are more values than directives"},
      {"{{ '%(a)s' % {} }}", "line 1: %: there is no key \"a\""},
      {"{{ '%q' % 1 }}", "line 1: %: unknown directive \"%q\""},
      {"{{ '%5' % 1 }}", "line 1: %: the text ends inside a directive"},
      {"{{ '{}'.format() }}", "line 1: format: there is no argument 0"},
      {"{{ '{a}'.format(b=1) }}", "line 1: format: there is no argument \"a\""},
      {"{{ '{:5q}'.format(1) }}", "line 1: the format q is not for an integer"},
      {"{{ '{:x5}'.format(1) }}", "line 1: \"x5\" is no format specification"},
      {"{{ '{'.format() }}", "line 1: format: a \"{\" is not closed"},
      {"{{ '{:>9999999999}'.format(1) }}", "line 1: a text of more than 67108864 bytes"},
      {"{{ '%9999999999d' % 1 }}", "line 1: a text of more than 67108864 bytes"},
      {"{{ 'a'.ljust(9999999999) }}", "line 1: a text of more than 67108864 bytes"},
      {"{{ [1]|batch(999999999999, 0)|list }}",
       "line 1: the template takes more than 10000000 steps; does a loop or a repetition grow "
       "without end?"},
      {"{{ 2.5|round(method='up') }}", "line 1: round: the method must be common, ceil or floor"},
      {"{% if true %}{{ 1|trimm }}{% endif %}",
       "line 1: unknown filter \"trimm\" (did you mean \"trim\"?)"},
      {"{% for x in [1] %}{{ loop([2]) }}{% endfor %}",
       "line 1: a loop can be called only where it is recursive, and while it runs"},
      {"{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
       "line 1: the macro m was not called by a call block"},
      {"{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
       "line 1: the macro m has no parameter \"caller\""},
      {"{% call range(1) %}x{% endcall %}", "line 1: range: unknown argument \"caller\""},
      {"{{ dict(**5) }}", "line 1: ** needs a dict, not an integer"},
      {"{{ lipsum() }}",
       "line 1: the function lipsum is not supported: its result differs from run to run"},
      {"{{ 1 < 'a' }}", "line 1: an integer and a string have no order"},
      {"{{ 1 in 'a' }}", "line 1: a string can contain a string only, not an integer"},
      {"{{ 1 in 2 }}", "line 1: `in` needs a string, a list or a dict, not an integer"},
      {"{{ [1] in {} }}", "line 1: a list cannot be a key of a dict"},
      {"{{ {[1]: 2} }}", "line 1: a list cannot be a key of a dict"},
      {"{{ -'a' }}", "line 1: - needs a number, not a string"},
      {"{{ 1 // 0 }}", "line 1: division by zero"},
      {"{{ 2 ** 63 }}", "line 1: the result of ** does not fit in a 64-bit integer"},
      {"{{ 9223372036854775807 + 1 }}", "line 1: the result of + does not fit in a 64-bit integer"},
      {"{{ (-9223372036854775807 - 1) // -1 }}",
       "line 1: the result of // does not fit in a 64-bit integer"},
      {"{{ 'a' * 9223372036854775807 * 2 }}", "line 1: a text of more than 67108864 bytes"},
      {"{{ 'ab' * 9223372036854775807 }}",
       "line 1: the result of * does not fit in a 64-bit integer"},
      {"{{ (0-8) ** 0.5 }}", "line 1: -8.0 ** 0.5 is not a finite real number"},
      {"{{ 1e300|int }}", "line 1: int: 1e+300 does not fit in a 64-bit integer"},
      {"{{ '99999999999999999999'|int }}",
       "line 1: int: the number does not fit in a 64-bit integer"},
      {"{{ 'a'.nope() }}", "line 1: a string has no key or attribute \"nope\""},
      {"{{ 'a'.encode() }}", "line 1: the method encode of a string is not supported"},
      {"{{ [1].append(2) }}",
       "line 1: the method append would change a list, which a template may not do; use a "
       "namespace or +"},
      {"{{ {}.update({}) }}",
       "line 1: the method update would change a dict, which a template may not do; use a "
       "namespace or +"},
      {"{{ 'a'.__class__ }}", "line 1: the attribute __class__ is private to Python"},
      {"{{ 'a'.split(1) }}", "line 1: split: the separator must be a string, not an integer"},
      {"{{ 'a'.split(' ', 1, 2) }}", "line 1: split: takes at most 2 arguments, not 3"},
      {"{{ 'a'.split(max=1) }}", "line 1: split: unknown argument \"max\""},
      {"{{ 'a'.split(maxsplt=1) }}",
       "line 1: split: unknown argument \"maxsplt\" (did you mean \"maxsplit\"?)"},
      {"{{ 'a'.replace('b') }}", "line 1: replace: the argument \"new\" is missing"},
      {"{{ 'a'|replace('b', old='c', new='d') }}",
       "line 1: replace: the argument \"old\" is given twice"},
      {"{{ 'a'.index('b') }}", "line 1: index: the text is not there; find gives -1 then"},
      {"{{ '-'.join([1]) }}",
       "line 1: join: every item must be a string, and one is an integer; the filter |join takes "
       "anything"},
      {"{{ '\u00df'|upper }}",
       "line 1: upper: the letter U+00DF has no single letter of that case, which is not "
       "supported"},
      {"{{ 5() }}", "line 1: an integer cannot be called"},
      {"{{ 5[1:] }}", "line 1: an integer cannot be sliced"},
      {"{{ 'a'['b':] }}", "line 1: the ends and the step of a slice are integers, not a string"},
      {"{{ 'abc'[::0] }}", "line 1: the step of a slice cannot be 0"},
      {"{% for x in 5 %}{% endfor %}", "line 1: an integer cannot be walked over"},
      {"{% set a, b = [1] %}", "line 1: cannot take 1 values apart into 2 variables"},
      {"{% set a.b = 1 %}", "line 1: cannot set a.b: a is undefined, not a namespace"},
      {"{{ 5|length }}", "line 1: an integer has no length"},
      {"{{ [1]|map('string')|length }}", "line 1: an iterator has no length; add |list before it"},
      {"{{ [1]|map('string') }}", "line 1: an iterator cannot be printed; add |list before it"},
      {"{{ [1]|map('nope') }}", "line 1: unknown filter \"nope\""},
      {"{{ range }}", "line 1: a function cannot be printed"},
      {"{{ [range]|tojson }}", "line 1: tojson: a function has no JSON form"},
      {"{{ x|tojson }}", "line 1: tojson: the variable \"x\" is undefined"},
      {"{{ range(0, 1000000) }}", "line 1: range: more than 100000 numbers"},
      {"{{ range(1, 2, 0) }}", "line 1: range: the step cannot be 0"},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
       "line 1: the macro m takes at most 1 arguments, not 2"},
      {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "line 1: the macro m has no parameter \"b\""},
      {"{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
       "line 1: the macro m is given two values for \"a\""},
      {"{% macro m(a) %}{{ a.b }}{% endmacro %}\n{{ m() }}",
       "line 1: the parameter \"a\" of the macro m was not given"},
      {"{{ ('x' if false).y }}", "line 1: an `if` without `else` came out false and has no value"},
      {"a\n{{ raise_exception('Roles must\nalternate') }}",
       "line 2: the template refuses this conversation: Roles must\\x0aalternate"},
      {"{{ strftime_now('%Y') }}",
       "line 1: the template asks for today's date, which would differ from run to run; give it "
       "a fixed date"},
  });
}

TEST(Jinja, ReportsTheLineOfTheOperationThatFailed) {
  const std::string macro = "{% macro m(x) %}\n{{ x }}\n{% endmacro %}\n";
  EXPECT_EQ(outcome(macro + "{{ m(1) + 1 }}"),
            "t.jinja: line 4: a string + an integer is not possible; ~ joins anything as text");
  EXPECT_EQ(outcome(macro + "\n{{ [1,\n m(2).y.z] }}"),
            "t.jinja: line 6: a string has no key or attribute \"y\"");
}

TEST(Jinja, AsksTheCallerForTheDate) {
  jinja::RenderOptions options;
  options.now = CivilTime::parse("2025-03-04T15:06:07");
  EXPECT_EQ(outcome("{{ strftime_now('%d %b %Y') }}", options), "04 Mar 2025");
  EXPECT_EQ(outcome("{{ strftime_now('%q') }}", options),
            "t.jinja: line 1: strftime: unknown directive \"%q\" (known: those of Python in the C "
            "locale, such as %d %b %Y)");
}

TEST(Jinja, RecordsWhereGenerationBlocksCameToStand) {
  const auto parsed = JinjaTemplate::parse(
      "\u00e9{% for x in 'ab' %}<{% generation %}{{ x }}!{% endgeneration %}>{% endfor %}", "t");
  EXPECT_TRUE(parsed.has_generation());
  const auto result = parsed.render_with_generations(no_variables());
  EXPECT_EQ(result.text, "\u00e9<a!><b!>");
  ASSERT_EQ(result.generations.size(), 2U);
  EXPECT_EQ(result.text.substr(result.generations[0].begin,
                               result.generations[0].end - result.generations[0].begin),
            "a!");
  EXPECT_EQ(result.generations[1].begin, 7U);
  EXPECT_EQ(result.generations[1].end, 9U);
}

TEST(Jinja, RefusesPlacesOfGenerationBlocksInCapturedText) {
  for (const std::string source :
       {"\n{% set x %}{% generation %}a{% endgeneration %}{% endset %}{{ x }}",
        "{% macro m() %}\n{% generation %}a{% endgeneration %}{% endmacro %}{{ m() }}"}) {
    const auto parsed = JinjaTemplate::parse(source, "t");
    EXPECT_TRUE(parsed.has_generation());
    EXPECT_EQ(data_error([&] { parsed.render_with_generations(no_variables()); }),
              "t: line 2: a generation block inside a macro or a set block has no place of its "
              "own in the output");
    EXPECT_NE(parsed.render(no_variables()).find('a'), std::string::npos);
  }
}

TEST(Jinja, KeepsTheOrderOfObjects) {
  const auto json =
      nlohmann::ordered_json::parse(R"({"z": {"b": 1, "a": 2}, "y": [1.0, -0.5e-7]})");
  jinja::Dict context;
  context.set("x", Value::from_json(json, "json"));
  EXPECT_EQ(rendered("{{ x|tojson }} {{ x }}", Value(std::move(context))),
            R"({"z": {"b": 1, "a": 2}, "y": [1.0, -5e-08]})"
            R"( {'z': {'b': 1, 'a': 2}, 'y': [1.0, -5e-08]})");
}

TEST(Jinja, FindsKeysOfLargeDicts) {
  nlohmann::ordered_json json;
  for (int i = 0; i < 1000; ++i) {
    json["key" + std::to_string(i)] = i;
  }
  jinja::Dict context;
  context.set("d", Value::from_json(json, "json"));
  EXPECT_EQ(rendered("{{ d.key0 }} {{ d['key999'] }} {{ d.get('key17') }} {{ 'key1000' in d }} "
                     "{{ d|length }} {{ d == dict(d) }} {{ d.keys()|list|last }}",
                     Value(std::move(context))),
            "0 999 17 False 1000 True key999");
}

TEST(Jinja, RefusesJsonItCannotHold) {
  const auto error_of = [](const std::string& text) {
    const auto json = nlohmann::ordered_json::parse(text);
    return data_error([&] { Value::from_json(json, "row 3"); });
  };
  EXPECT_EQ(error_of("[18446744073709551615]"),
            "row 3: the number 18446744073709551615 is too large for a template, which has 64-bit "
            "signed integers");
  EXPECT_EQ(error_of(std::string(200, '[') + std::string(200, ']')),
            "row 3: lists and objects are nested more than 100 deep");
  EXPECT_EQ(error_of(std::string(100, '[') + std::string(100, ']')), "");
}

}  // namespace
}  // namespace inlay
