// SPDX-License-Identifier: Apache-2.0
#include "nn/generate.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

// The logits of the last token of each segment: [segments, V].
Tensor last_logits(const CausalLM& model, const PackedTokens& tokens, SequenceCache& cache,
                   AttentionKind attention) {
  Pass pass;
  pass.tokens = &tokens;
  pass.cache = &cache;
  pass.attention = attention;
  std::vector<i32> rows;
  for (const Segment& segment : tokens.segments) {
    rows.push_back(static_cast<i32>(segment.q_begin + segment.q_count - 1));
  }
  return model.logits(model.hidden(pass, rows), pass);
}

struct Stream {
  i64 index = 0;     // which sequence, and its cache slot
  i64 position = 0;  // tokens in the cache
  i32 next = 0;      // made, not yet fed
  std::span<const i32> prompt;
};

// Whether a cache of sequences of up to `before` tokens is of no use once they have up to `after`.
bool outgrown(const CausalLM& model, i64 before, i64 after) {
  const i64 limit = model.sizes().outgrown_beyond;
  return limit > 0 && (before > limit) != (after > limit);
}

// The next token of each stream; all of its tokens where the cache no longer holds.
PackedTokens next_tokens(const CausalLM& model, SequenceCache& cache, std::span<Stream> streams,
                         std::span<const Generated> made) {
  i64 longest = 0;
  for (const Stream& stream : streams) {
    longest = std::max(longest, stream.position);
  }
  const bool anew = outgrown(model, longest, longest + 1);
  PackedTokens tokens;
  for (Stream& stream : streams) {
    if (anew) {
      cache.rewind(stream.index, 0);
      std::vector<i32> all(stream.prompt.begin(), stream.prompt.end());
      all.insert(all.end(), made[stream.index].ids.begin(), made[stream.index].ids.end());
      tokens.append(all, 0, stream.index);
    } else {
      tokens.append(std::span(&stream.next, 1), stream.position, stream.index);
    }
    ++stream.position;
  }
  return tokens;
}

// Draws a token for `stream`; false when the sequence is over.
bool advance(Stream& stream, std::span<const float> logits, const GenerateOptions& options,
             const OnToken& on_token, Generated& out) {
  const i32 id = sample(logits, options.sampling, options.key.with(static_cast<u64>(stream.index)),
                        out.ids.size());
  if (std::ranges::find(options.stop_ids, id) != options.stop_ids.end()) {
    out.stopped = true;
    return false;
  }
  out.ids.push_back(id);
  stream.next = id;
  if (on_token && !on_token(stream.index, id)) {
    return false;
  }
  return static_cast<i64>(out.ids.size()) < options.max_new_tokens;
}

// Runs the streams whose first logits are given until all are over.
void run(const CausalLM& model, SequenceCache& cache, std::vector<Stream> streams, Tensor logits,
         const GenerateOptions& options, const OnToken& on_token, std::vector<Generated>& out) {
  const i64 V = logits.dim(1);
  while (true) {
    const std::vector<float> values = logits.to_vector();
    std::vector<Stream> going;
    for (std::size_t s = 0; s < streams.size(); ++s) {
      if (advance(streams[s], std::span(values).subspan(s * V, V), options, on_token,
                  out[streams[s].index])) {
        going.push_back(streams[s]);
      }
    }
    if (going.empty()) {
      return;
    }
    const PackedTokens tokens = next_tokens(model, cache, going, out);
    logits = last_logits(model, tokens, cache, options.attention);
    streams = std::move(going);
  }
}

void check_room(const CausalLM& model, i64 tokens) {
  if (model.sizes().hard_limit && tokens > model.sizes().max_positions) {
    throw DataError(str("the prompt and the tokens to generate are ", tokens,
                        " tokens, and this model has positions for ", model.sizes().max_positions));
  }
}

}  // namespace

std::vector<Generated> generate(const CausalLM& model, std::span<const std::vector<i32>> prompts,
                                const GenerateOptions& options, const OnToken& on_token) {
  const NoGrad guard;
  std::vector<Generated> out(prompts.size());
  if (prompts.empty() || options.max_new_tokens < 1) {
    return out;
  }
  i64 longest = 0;
  PackedTokens tokens;
  std::vector<Stream> streams;
  for (std::size_t s = 0; s < prompts.size(); ++s) {
    INLAY_ASSERT(!prompts[s].empty());
    const i64 length = static_cast<i64>(prompts[s].size());
    longest = std::max(longest, length);
    tokens.append(prompts[s], 0, static_cast<i64>(s));
    streams.push_back({static_cast<i64>(s), length, 0, prompts[s]});
  }
  check_room(model, longest + options.max_new_tokens);
  SequenceCache cache =
      model.make_cache(static_cast<i64>(prompts.size()), longest + options.max_new_tokens);
  Tensor logits = last_logits(model, tokens, cache, options.attention);
  run(model, cache, std::move(streams), std::move(logits), options, on_token, out);
  return out;
}

GenerationSession::GenerationSession(const CausalLM& model, i64 capacity, AttentionKind attention)
    : model_(model), cache_(model.make_cache(1, capacity)), attention_(attention) {
  check_room(model, capacity);
}

Generated GenerationSession::reply(std::span<const i32> ids, const GenerateOptions& options,
                                   const OnToken& on_token) {
  const NoGrad guard;
  if (static_cast<i64>(ids.size()) + options.max_new_tokens > capacity()) {
    throw DataError(str("the conversation is ", ids.size(), " tokens and the reply may take ",
                        options.max_new_tokens, ", more than the ", capacity(),
                        " there is room for"));
  }
  // At least the last token is fed again, for its logits.
  const i64 common = std::ranges::mismatch(seen_, ids).in1 - seen_.begin();
  const i64 length = static_cast<i64>(ids.size());
  const bool anew = outgrown(model_, static_cast<i64>(seen_.size()), length);
  const i64 kept = cache_.rewind(0, anew ? 0 : std::min(common, length - 1));
  PackedTokens tokens;
  tokens.append(ids.subspan(kept), kept, 0);
  Tensor logits = last_logits(model_, tokens, cache_, attention_);
  std::vector<Generated> out(1);
  run(model_, cache_, {{0, length, 0, ids}}, std::move(logits), options, on_token, out);
  seen_.assign(ids.begin(), ids.end());
  seen_.insert(seen_.end(), out[0].ids.begin(), out[0].ids.end());
  if (!out[0].ids.empty()) {
    seen_.pop_back();  // the last token was made but not fed
  }
  return std::move(out[0]);
}

}  // namespace inlay
