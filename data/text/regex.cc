// SPDX-License-Identifier: Apache-2.0
#include "data/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "core/error.h"
#include "data/text/regex_syntax.h"
#include "data/text/utf8.h"

// The bound on time. PCRE2 counts its steps for one starting place and gives up at a limit, but not
// for a search as a whole, and a search visits every place. So a search is cut into calls that each
// try some starting places under a low limit, which cost at most a constant per byte. When one of
// the places runs into the limit, the calls get smaller until it stands alone; then the limit grows
// tenfold from try to try, and those steps are charged to a budget that grows with the text. One
// honest run of 100 000 blanks passes; a pattern that takes quadratic time on it does not.
namespace inlay {
namespace {

constexpr u32 kFreeSteps = 1000;
constexpr i64 kMaxPlaces = 256;
/// Steps are a few nanoseconds each: 0.1 seconds, and then some 0.2 microseconds a byte.
constexpr i64 kBudget = 20'000'000;
constexpr i64 kBudgetPerByte = 50;
/// Backtracking memory. 100 000 rounds of a group need about 10 MiB.
constexpr u32 kMemoryKiB = 64U << 10;
constexpr std::size_t kStackAtFirst = std::size_t{32} << 10;
/// Real patterns have a few hundred bytes.
constexpr i64 kMaxPattern = i64{16} << 10;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_jit_stack* p) const { pcre2_jit_stack_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// What matching writes to; one a thread, since making it costs more than a short match.
struct Workspace {
  Owned<pcre2_match_data> match{pcre2_match_data_create(1, nullptr)};
  Owned<pcre2_match_context> context{pcre2_match_context_create(nullptr)};
  Owned<pcre2_jit_stack> stack{
      pcre2_jit_stack_create(kStackAtFirst, std::size_t{kMemoryKiB} << 10, nullptr)};

  Workspace() {
    if (!match || !context || !stack) {
      throw MemoryError("no memory left to match a regular expression");
    }
    pcre2_set_heap_limit(context.get(), kMemoryKiB);
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

Workspace& workspace() {
  thread_local Workspace mine;
  return mine;
}

std::string message_of(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data());
}

/// One search through one text.
class Search {
 public:
  Search(const pcre2_code* code, std::string_view shown, std::string_view text)
      : code_(code),
        shown_(shown),
        text_(text),
        budget_(kBudget + kBudgetPerByte * static_cast<i64>(text.size())),
        ovector_(pcre2_get_ovector_pointer(workspace_.match.get())) {}

  /// The next match that starts at `from` or later.
  bool next(i64 from, Regex::Match& match) {
    const i64 size = text_.size();
    for (i64 places = kMaxPlaces; from <= size; places = std::min(2 * places, kMaxPlaces)) {
      int result = call(from, from + places - 1, kFreeSteps);
      if (result == PCRE2_ERROR_MATCHLIMIT && places > 1) {
        places = 1;
        result = call(from, from, kFreeSteps);
      }
      for (i64 limit = 10 * i64{kFreeSteps}; result == PCRE2_ERROR_MATCHLIMIT; limit *= 10) {
        spend(limit, from);
        result = call(from, from, static_cast<u32>(std::min<i64>(limit, UINT32_MAX)));
      }
      if (result >= 0) {
        match = {static_cast<i64>(ovector_[0]), static_cast<i64>(ovector_[1])};
        return true;
      }
      if (result != PCRE2_ERROR_NOMATCH) {
        throw DataError(str("the regular expression \"", printable(shown_),
                            "\" fails on a text of ", size, " bytes, at byte ", from, ": ",
                            message_of(result)));
      }
      from = next_boundary(from + places);
    }
    return false;
  }

 private:
  /// Tries the starting places from `first` to `last`.
  int call(i64 first, i64 last, u32 step_limit) {
    pcre2_set_match_limit(workspace_.context.get(), step_limit);
    pcre2_set_offset_limit(workspace_.context.get(), static_cast<PCRE2_SIZE>(last));
    return pcre2_match(code_, units(text_), text_.size(), static_cast<PCRE2_SIZE>(first),
                       PCRE2_NO_UTF_CHECK, workspace_.match.get(), workspace_.context.get());
  }

  void spend(i64 steps, i64 at) {
    budget_ -= steps;
    if (budget_ < 0) {
      throw DataError(str("the regular expression \"", printable(shown_),
                          "\" takes too many steps on a text of ", text_.size(), " bytes, at byte ",
                          at, "; repeats within repeats are the usual cause"));
    }
  }

  i64 next_boundary(i64 from) const {
    while (from < static_cast<i64>(text_.size()) && (static_cast<u8>(text_[from]) & 0xC0) == 0x80) {
      ++from;
    }
    return from;
  }

  const pcre2_code* code_;
  std::string_view shown_;
  std::string_view text_;
  i64 budget_;
  Workspace& workspace_ = workspace();
  const PCRE2_SIZE* ovector_;
};

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code;
};

Regex::Regex(std::string_view pattern)
    // Automatic possessive repeats would hide steps from the count: `\p{L}+\d` on letters alone.
    : Regex(pattern, to_pcre2(pattern), PCRE2_NO_AUTO_POSSESS) {}

Regex Regex::literal(std::string_view text) {
  return {text, text, PCRE2_LITERAL};
}

Regex::Regex(std::string_view shown, std::string_view pcre2_pattern, unsigned options)
    : shown_(shown) {
  if (static_cast<i64>(shown.size()) > kMaxPattern) {
    throw DataError(str("the regular expression \"", printable(shown), "\" has ", shown.size(),
                        " bytes; at most ", kMaxPattern, " are supported"));
  }
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  if (!context) {
    throw MemoryError("no memory left to compile a regular expression");
  }
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE where = 0;
  Owned<pcre2_code> code(pcre2_compile(units(pcre2_pattern), pcre2_pattern.size(),
                                       options | PCRE2_UTF | PCRE2_USE_OFFSET_LIMIT, &error, &where,
                                       context.get()));
  if (!code) {
    throw DataError(str("the regular expression \"", printable(shown),
                        "\" cannot be used: ", message_of(error)));
  }
  // Where the system allows no machine code to be made, PCRE2 interprets instead.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  code_ = std::make_shared<Code>(Code{std::move(code)});
}

void Regex::find_all(std::string_view text, std::vector<Match>& matches) const {
  Search search(code_->code.get(), shown_, text);
  const i64 size = text.size();
  i64 last_end = -1;
  i64 from = 0;
  for (Match match{}; from <= size && search.next(from, match);) {
    if (match.begin == match.end && match.end == last_end) {
      // Nothing again: on to the next code point.
      from = match.end + (match.end < size ? code_point_at(text, match.end).length : 1);
      continue;
    }
    matches.push_back(match);
    from = last_end = match.end;
  }
}

}  // namespace inlay
