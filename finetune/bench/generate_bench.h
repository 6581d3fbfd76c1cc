// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "finetune/bench/timing.h"
#include "nn/causal_lm.h"

namespace inlay {

struct GenerateBench {
  Timing prompt;  // reading the whole prompt, up to the first token
  Timing decode;  // the tokens after the first, one by one
  i64 prompt_tokens = 0;
  i64 decoded_tokens = 0;
};

/// Continues a prompt of `length` arbitrary tokens by `new_tokens` (>= 2) likeliest ones, `steps`
/// times after once to warm up. Throws DataError where the model has no such position.
GenerateBench bench_generation(const CausalLM& model, i64 length, i64 new_tokens, i64 steps);

}  // namespace inlay
