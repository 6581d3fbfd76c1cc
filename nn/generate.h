// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "nn/causal_lm.h"
#include "nn/sampling.h"
#include "nn/state.h"

namespace inlay {

struct GenerateOptions {
  i64 max_new_tokens = 128;
  SamplingOptions sampling;
  RandomKey key{0};           // sequence s draws from key.with(s)
  std::vector<i32> stop_ids;  // a sequence ends before the first of them
  AttentionKind attention = AttentionKind::kTiled;
};

struct Generated {
  std::vector<i32> ids;  // without the stop token
  bool stopped = false;  // by a stop token, not by max_new_tokens
};

/// Called with each token as it is made; returning false ends that sequence.
using OnToken = std::function<bool(i64 sequence, i32 id)>;

/// Continues every prompt (each at least one token). The sequences run as one batch without
/// padding: one pass over all prompts, then one token of every unfinished sequence a pass. Throws
/// DataError when a prompt and max_new_tokens exceed a model's hard position limit.
std::vector<Generated> generate(const CausalLM& model, std::span<const std::vector<i32>> prompts,
                                const GenerateOptions& options, const OnToken& on_token = {});

/// One growing sequence, for conversations: what was fed stays in the cache.
class GenerationSession {
 public:
  GenerationSession(const CausalLM& model, i64 capacity,
                    AttentionKind attention = AttentionKind::kTiled);

  /// Makes `ids` the content of the sequence, reusing what the longest common prefix already holds,
  /// and continues it.
  Generated reply(std::span<const i32> ids, const GenerateOptions& options,
                  const OnToken& on_token = {});
  i64 capacity() const { return cache_.capacity(); }

 private:
  const CausalLM& model_;
  SequenceCache cache_;
  AttentionKind attention_;
  std::vector<i32> seen_;
};

}  // namespace inlay
