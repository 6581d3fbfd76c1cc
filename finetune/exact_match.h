// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "data/example.h"
#include "data/tokenizer/tokenizer.h"
#include "nn/causal_lm.h"

namespace inlay {

/// One row of an exact-match evaluation.
struct MatchedRow {
  i64 line = 0;
  std::string expected;
  std::string generated;  // up to the token that made it differ
  bool equal = false;
};

struct ExactMatchOptions {
  i64 batch_size = 64;  // rows generated together; does not change what is generated
  std::vector<i32> stop_ids;
  AttentionKind attention = AttentionKind::kTiled;
  std::function<void(i64 done, i64 total)> on_progress;
};

/// Greedy completions against the expected ones: a row's prompt is what stands before its first
/// trained token, its answer the run of trained tokens that starts there, without the token that
/// ends it. Texts are equal when they are the same but for white space at both ends. Without
/// stop_ids a model cannot end its answer, which then is as many tokens as the expected one has.
std::vector<MatchedRow> exact_match(const CausalLM& model, const Tokenizer& tokenizer,
                                    std::span<const Example> examples,
                                    const ExactMatchOptions& options);

}  // namespace inlay
