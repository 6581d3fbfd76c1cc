// SPDX-License-Identifier: Apache-2.0
#include "finetune/exact_match.h"

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "nn/generate.h"

namespace inlay {
namespace {

struct Question {
  std::vector<i32> prompt;
  std::vector<i32> answer;
};

Question question_of(const Example& example, const std::vector<i32>& stop_ids) {
  const auto trained = [](i32 label) { return label != kIgnoreLabel; };
  const auto& labels = example.labels;
  const auto first = std::find_if(labels.begin() + 1, labels.end(), trained);
  const auto last = std::find_if_not(first, labels.end(), trained);
  Question q;
  q.prompt.assign(example.ids.begin(), example.ids.begin() + (first - labels.begin()));
  q.answer.assign(first, last);
  if (!q.answer.empty() && std::ranges::find(stop_ids, q.answer.back()) != stop_ids.end()) {
    q.answer.pop_back();
  }
  return q;
}

std::string stripped(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlanks);
  return first == std::string::npos
             ? ""
             : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Watches a row's answer as it is made and says whether it can still become the expected one.
class Watcher {
 public:
  Watcher(const Tokenizer& tokenizer, const Question& question, std::string expected, bool can_end)
      : tokenizer_(tokenizer),
        question_(question),
        expected_(std::move(expected)),
        can_end_(can_end) {}

  bool operator()(i32 id) {
    const std::size_t at = made_.size();
    made_.push_back(id);
    same_ids_ = same_ids_ && at < question_.answer.size() && question_.answer[at] == id;
    if (!can_end_ && made_.size() >= question_.answer.size()) {
      return false;
    }
    if (same_ids_) {
      return true;
    }
    // Other tokens may still spell the same text.
    std::string text = stripped(tokenizer_.decode(made_, {.skip_special_tokens = true}));
    constexpr std::string_view kUnfinished = "\xEF\xBF\xBD";  // a character whose bytes still come
    while (text.ends_with(kUnfinished)) {
      text.resize(text.size() - kUnfinished.size());
    }
    return expected_.starts_with(text);
  }

 private:
  const Tokenizer& tokenizer_;
  const Question& question_;
  std::string expected_;
  bool can_end_;  // the model has a token that ends a text
  std::vector<i32> made_;
  bool same_ids_ = true;
};

// A little past the longest answer: enough to tell a longer text from an equal one.
constexpr i64 kRoom = 8;

i64 length(const std::vector<i32>& ids) {
  return static_cast<i64>(ids.size());
}

i64 position_limit(const CausalLM& model) {
  return model.sizes().hard_limit ? model.sizes().max_positions : std::numeric_limits<i64>::max();
}

// For all of them together, as one batch.
i64 positions_needed(std::span<const Example> batch, const std::vector<i32>& stop_ids) {
  i64 prompt = 0;
  i64 answer = 0;
  for (const Example& example : batch) {
    const Question question = question_of(example, stop_ids);
    prompt = std::max(prompt, length(question.prompt));
    answer = std::max(answer, length(question.answer));
  }
  return prompt + answer + kRoom;
}

}  // namespace

std::vector<MatchedRow> exact_match(const CausalLM& model, const Tokenizer& tokenizer,
                                    std::span<const Example> examples,
                                    const ExactMatchOptions& options) {
  std::vector<MatchedRow> rows;
  const i64 total = static_cast<i64>(examples.size());
  for (i64 begin = 0; begin < total;) {
    auto batch = examples.subspan(begin, std::min(options.batch_size, total - begin));
    if (positions_needed(batch, options.stop_ids) > position_limit(model)) {
      batch = batch.first(1);  // the longest answer need not fit behind the longest prompt
    }
    begin += static_cast<i64>(batch.size());
    std::vector<std::vector<i32>> prompts;
    std::vector<Question> questions;
    i64 longest = 0;
    for (const Example& example : batch) {
      questions.push_back(question_of(example, options.stop_ids));
      prompts.push_back(questions.back().prompt);
      longest = std::max(longest, length(questions.back().answer));
    }
    GenerateOptions generate_options;
    const i64 longest_prompt = length(std::ranges::max(prompts, {}, length));
    generate_options.max_new_tokens =
        std::min(longest + kRoom, position_limit(model) - longest_prompt);
    generate_options.stop_ids = options.stop_ids;
    generate_options.attention = options.attention;
    std::vector<std::string> expected;
    std::vector<Watcher> watchers;
    for (const Question& q : questions) {
      expected.push_back(stripped(tokenizer.decode(q.answer, {.skip_special_tokens = true})));
      watchers.emplace_back(tokenizer, q, expected.back(), !options.stop_ids.empty());
    }
    const std::vector<Generated> made =
        generate(model, prompts, generate_options,
                 [&](i64 sequence, i32 id) { return watchers[sequence](id); });
    for (std::size_t i = 0; i < batch.size(); ++i) {
      MatchedRow row;
      row.line = batch[i].line;
      row.expected = expected[i];
      row.generated = stripped(tokenizer.decode(made[i].ids, {.skip_special_tokens = true}));
      row.equal = row.expected == row.generated;
      rows.push_back(std::move(row));
    }
    if (options.on_progress) {
      options.on_progress(static_cast<i64>(rows.size()), total);
    }
  }
  return rows;
}

}  // namespace inlay
