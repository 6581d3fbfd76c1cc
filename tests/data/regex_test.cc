// SPDX-License-Identifier: Apache-2.0
#include "data/text/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/text/regex_syntax.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

/// The matches in brackets, the gaps between them bare: `[ab]c[d]`.
std::string marked(const Regex& regex, const std::string& text) {
  std::vector<Regex::Match> matches;
  regex.find_all(text, matches);
  std::string out;
  i64 at = 0;
  for (const Regex::Match& match : matches) {
    out += text.substr(at, match.begin - at) + '[' +
           text.substr(match.begin, match.end - match.begin) + ']';
    at = match.end;
  }
  return out + text.substr(at);
}

double seconds_of(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Every expectation here is what Oniguruma does, as the tokenizers package shows it.
TEST(Regex, MatchesWhatOnigurumaMatches) {
  const struct {
    std::string pattern;
    std::string text;
    std::string marked;
  } cases[] = {
      {R"(\s+(?!\S)|\s+)", "a   b  ", "a[  ][ ]b[  ]"},
      {R"(\p{N}{1,3})", "1234\u0661", "[123][4\u0661]"},
      {R"(\h)", "ag h\t", "[a]g h\t"},  // a hexadecimal digit
      {R"(\H)", "ag", "a[g]"},
      {R"(\v)", "a\vb\n", "a[\v]b\n"},  // one vertical tab
      {"a{,2}", "aaa", "[aa][a]"},      // up to two; and none at the end
      {"a{", "a{b", "[a{]b"},
      {"{|}|]", "{}]", "[{][}][]]"},
      {"[a[bc]]+", "xabcx[", "x[abc]x["},  // a set within a set
      {R"([^(\s|[.,])]+)", "ab,c(d", "[ab],[c]([d]"},
      {"[a-c-e]", "b-d", "[b][-]d"},
      {"[a-]|[-z]", "-az", "[-][a][z]"},
      {"(?m:.)+", "a\nb", "[a\nb]"},  // m lets the dot take newlines
      {".+", "a\nb", "[a]\n[b]"},
      {"^a|b$", "ab\nab", "[a][b]\n[a][b]"},     // at every line
      {"(?i:s)", "sS\u017f", "[s][S][\u017f]"},  // the long s
      {"(?i)a|b", "AB", "[A][B]"},
      {"(?i:a(?-i:b))", "AbAB", "[Ab]AB"},
      {R"(\s)", "\u180e\u0085\u200b\u3000", "\u180e[\u0085]\u200b[\u3000]"},
      {R"([\S\n]+)", "a b\u180e\n", "[a] [b\u180e\n]"},
      {R"([^\S]+)", "a \u00a0b", "a[ \u00a0]b"},
      {R"(\w+)", "e\u0301_1\u00b2-\u24b6", "[e\u0301_1\u00b2]-[\u24b6]"},
      {R"(\b\w)", "ab e\u0301c", "[a]b [e]\u0301c"},  // a mark is a word character
      {R"(\B.)", "ab c", "a[b] c"},
      {R"(\p{^L}|\P{N})", "a1-", "[a][1][-]"},
      {R"(\p{Han}+)", "a\u4e2d\u3001", "a[\u4e2d]\u3001"},  // scripts, not script extensions
      {R"(\u4e2d|\x{4e00}|\x41|\.|\-)", "\u4e2d\u4e00A.-", "[\u4e2d][\u4e00][A][.][-]"},
      {R"([\x41-\x{43}\]\\\b]+)", "AC]\\\bD", "[AC]\\\b]D"},
      {"(?<word>a)(b)", "ab", "[ab]"},
      {"(?>a+)b", "aab", "[aab]"},
      {"(?<=a)b(?=c)", "abcb", "a[b]cb"},
      {"a*+b|a??c", "aabac", "[aab][ac]"},
      {"(?=(\\d{3})+(?!\\d))", "1234567", "1[]234[]567"},  // empty matches split too
      {"x*", "axb", "[]a[x]b[]"},                          // but none right behind a match
      {"", "ab", "[]a[]b[]"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(marked(Regex(c.pattern), c.text), c.marked) << c.pattern << " on " << c.text;
  }
}

TEST(Regex, MatchesALiteralTextAsItIs) {
  EXPECT_EQ(marked(Regex::literal("a.[b"), "a.[bxa.[b"), "[a.[b]x[a.[b]");
  EXPECT_EQ(marked(Regex::literal("\\E\u00e9"), "\\E\u00e9"), "[\\E\u00e9]");
}

TEST(Regex, RefusesByNameWhatMeansSomethingElseHere) {
  const struct {
    std::string pattern;
    std::string what;
  } cases[] = {
      {R"(a\1)", R"("\1" at offset 1)"},
      {R"(\k<n>)", R"("\k" at offset 0)"},
      {R"(\X)", R"("\X" at offset 0)"},
      {R"(\R)", R"("\R" at offset 0)"},
      {"[a&&b]", "\"&&\" at offset 2"},
      {"[[:alpha:]]", "\"[:\" in a set at offset 1"},
      {"[a[^b]]", "\"[^\" in a set at offset 2"},
      {R"([\W])", R"("\W" in a set at offset 1)"},
      {"[]a]", "an empty set at offset 0"},
      {"[a", "a \"[\" without its \"]\" at offset 0"},
      {"[a-", "a set without its \"]\" at offset 1"},
      {R"([\w-z])", "a range that starts with a set at offset 1"},
      {"[b-a]", "a range from high to low at offset 1"},
      {"[a-[b]]", "a range that ends in a set at offset 1"},
      {"(a", "a \"(\" without its \")\" at offset 0"},
      {"a)", "an unmatched \")\" at offset 1"},
      {"a{2}?", "a \"+\" or \"?\" after a repeat count at offset 1"},
      {"a{1,2}+", "a \"+\" or \"?\" after a repeat count at offset 1"},
      {"a**", "a repeat of a repeat at offset 2"},
      {"*a", "a repeat of nothing at offset 0"},
      {"(?=a)*", "a repeat of nothing at offset 5"},
      {"^+", "a repeat of nothing at offset 1"},
      {"a{3,2}", "a repeat count out of range at offset 1"},
      {"a{99999}", "a repeat count out of range at offset 1"},
      {"(?s:.)", "\"(?s:\" at offset 0"},
      {"(?#x)a", "\"(?#x\" at offset 0"},
      {"a(?i)b", "\"(?i)\" at offset 1"},
      {"(?i:ss)", "a pair of letters that a single one stands for under (?i) at offset 5"},
      {"(?i:\u00df)", "a letter beyond ASCII under (?i) at offset 4"},
      {"(?i:[\u00e9])", "a letter beyond ASCII under (?i) at offset 5"},
      {R"((?i:[\p{Lu}]))", "a property in a set under (?i) at offset 5"},
      {R"(\pL)", "a \\p without {...} at offset 0"},
      {R"(\p{L&})", "the property \"L&\" at offset 0"},
      {R"(\xe9)", "a code point out of range at offset 0"},
      {R"(\x{110000})", "a code point out of range at offset 0"},
      {R"(\ud800)", "a code point out of range at offset 0"},
      {R"(\u12)", "a code point that is cut short at offset 0"},
      {R"(\u12gh)", "a code point that is not hexadecimal at offset 0"},
      {"a\\", "a \"\\\" at the end at offset 1"},
      {"(?<a", "a group without a name at offset 0"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(
        error_text<DataError>([&] { to_pcre2(c.pattern); }),
        "the regular expression \"" + c.pattern + "\" has " + c.what + ", which is not supported");
  }
  EXPECT_NE(error_text<DataError>([&] {
              to_pcre2(std::string(100, '(') + std::string(100, ')'));
            }).find("groups nested too deep"),
            std::string::npos);
  EXPECT_NE(error_text<DataError>([&] {
              to_pcre2(std::string(100, '[') + "a" + std::string(100, ']'));
            }).find("sets nested too deep"),
            std::string::npos);
  EXPECT_EQ(error_text<DataError>([&] { to_pcre2("a\xff"); }),
            "the regular expression: byte 0xff at offset 1 is not UTF-8");
}

TEST(Regex, RefusesWhatTheEngineCannotCompile) {
  EXPECT_EQ(error_text<DataError>([] { Regex(R"(\p{Klingon})"); }).substr(0, 56),
            R"(the regular expression "\p{Klingon}" cannot be used: unk)");
  EXPECT_NE(error_text<DataError>([] { Regex("(?<=a+)b"); }).find("lookbehind"), std::string::npos);
  EXPECT_EQ(error_text<DataError>([] { Regex(std::string(20'000, 'a')); }).substr(0, 24),
            "the regular expression \"");
  // Repeats multiply the size of the compiled pattern.
  EXPECT_NE(error_text<DataError>([] { Regex("(?:(?:(?:a{1000}){1000}){1000}){1000}"); }),
            "no error");
}

TEST(Regex, GivesUpOnPatternsThatNeverEnd) {
  const std::string letters(200'000, 'a');
  const std::string blanks(90'000, ' ');
  const struct {
    std::string pattern;
    std::string text;
  } cases[] = {
      {"(a+)+$", letters + "b"},
      {R"((\p{L}+)*\d)", letters},
      {R"(\p{L}+\d)", letters},
      {R"(\s+$)", blanks + "x"},
      {R"((?=(\d{3})+(?!\d)))", std::string(200'000, '1')},
  };
  for (const auto& c : cases) {
    const Regex regex(c.pattern);
    std::string error;
    // Measured: under 0.3 s each. 5 s leaves room for sanitizers and a busy machine.
    EXPECT_LT(seconds_of([&] { error = error_text<DataError>([&] { marked(regex, c.text); }); }),
              5.0);
    EXPECT_EQ(error.substr(0, 26 + c.pattern.size() + 20),
              "the regular expression \"" + c.pattern + "\" takes too many steps")
        << error;
  }
}

TEST(Regex, LetsLongRunsOfOneKindPass) {
  const std::string n(200'000, '\n');
  const std::string blanks(200'000, ' ');
  const std::string letters(200'000, 'a');
  const Regex gpt2(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)");
  const Regex newlines(R"(\s*[\r\n]+|\s+(?!\S)|\s+)");
  EXPECT_EQ(marked(gpt2, letters), "[" + letters + "]");
  EXPECT_EQ(marked(gpt2, blanks + "x"), "[" + blanks.substr(1) + "][ x]");
  // Here each blank is tried as the last one before a newline.
  EXPECT_EQ(marked(newlines, blanks + "x"), "[" + blanks.substr(1) + "][ ]x");
  EXPECT_EQ(marked(newlines, blanks + n), "[" + blanks + n + "]");
  // A group's rounds are remembered one by one.
  EXPECT_EQ(marked(Regex("(?:a|b)+"), letters), "[" + letters + "]");
}

}  // namespace
}  // namespace inlay
