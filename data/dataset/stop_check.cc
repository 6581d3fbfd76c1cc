// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/stop_check.h"

#include <algorithm>

#include "core/error.h"

namespace inlay {

void StopCheck::add(const Example& example) {
  rows_ += 1;
  bool learns = false;
  bool passes = false;
  const i64 size = example.ids.size();
  const auto learnt = [&](i64 t) { return example.labels[t] != kIgnoreLabel; };
  for (i64 t = 0; t < size; ++t) {
    if (learnt(t) && (t + 1 == size || !learnt(t + 1))) {
      const bool stops = is_stop(example.labels[t]);
      learns = learns || stops;
      passes = passes || (!stops && t + 1 < size && is_stop(example.ids[t + 1]));
    }
  }
  learning_ += learns ? 1 : 0;
  if (passes) {
    unlearnt_.add(example.line);
  }
}

std::optional<std::string> StopCheck::note(bool add_eos) const {
  const std::string_view effect = "so the model does not learn to stop";
  if (rows_ > 0 && learning_ == 0) {
    return str("no answer ends with a token that stops generation, ", effect,
               unlearnt_.rows > 0
                   ? ": the chat template's {% generation %} blocks leave the end of "
                     "the turn out"
               : add_eos ? ""
                         : ": data.add_eos is false");
  }
  if (unlearnt_.rows > 0) {
    std::vector<std::string> notes;
    unlearnt_.note(
        "an answer whose end of turn is not learnt: the chat template's "
        "{% generation %} block ends before it",
        notes);
    return notes.front();
  }
  return std::nullopt;
}

bool StopCheck::is_stop(i32 id) const {
  const std::vector<i32>& ends = tokenizer_.eos_ids();
  return tokenizer_.is_special(id) || std::find(ends.begin(), ends.end(), id) != ends.end();
}

}  // namespace inlay
