// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/generate_bench.h"

#include "core/error.h"
#include "nn/generate.h"

namespace inlay {

GenerateBench bench_generation(const CausalLM& model, i64 length, i64 new_tokens, i64 steps) {
  INLAY_ASSERT(new_tokens >= 2);
  std::vector<std::vector<i32>> prompts(1);
  for (i64 t = 0; t < length; ++t) {
    prompts[0].push_back(static_cast<i32>(7 * t % model.sizes().vocab_size));
  }
  GenerateOptions options;
  options.max_new_tokens = new_tokens;
  GenerateBench out;
  out.prompt_tokens = length;
  out.decoded_tokens = new_tokens - 1;
  for (i64 step = 0; step <= steps; ++step) {
    Timing prompt, decode;
    Stopwatch watch;
    i64 seen = 0;
    generate(model, prompts, options, [&](i64 /*sequence*/, i32 /*id*/) {
      seen += 1;
      if (seen == 1) {
        watch.lap(prompt);
      } else if (seen == new_tokens) {
        watch.lap(decode);
      }
      return true;
    });
    if (step > 0) {
      out.prompt.append(prompt);
      out.decode.append(decode);
    }
  }
  return out;
}

}  // namespace inlay
