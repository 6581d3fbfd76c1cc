// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/random.h"

namespace inlay {

struct SamplingOptions {
  double temperature = 0.0;  // 0: the likeliest token
  i64 top_k = 0;             // > 0: only the k likeliest
  double top_p =
      1.0;  // < 1: only the smallest set of likeliest tokens whose probabilities reach top_p
};

/// The likeliest token; the lowest id among equals.
i32 argmax(std::span<const float> logits);

/// A token from softmax(logits / temperature) after top-k and then top-p, from draw `index` of
/// `key`. Tokens of equal logit are ordered by id, so the outcome is a function of the arguments
/// alone.
i32 sample(std::span<const float> logits, const SamplingOptions& options, RandomKey key, u64 index);

}  // namespace inlay
