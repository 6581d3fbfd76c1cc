// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/attention.h"

#include <algorithm>
#include <cstdint>

#include "core/kernels/cpu/attention/attention.isa.h"
#include "core/kernels/cpu/attention/attention_sinks.h"
#include "core/kernels/cpu/isa/bf16_products.h"
#include "core/parallel.h"

// How the work of attention is split into tasks. The tiles themselves are computed by the .isa.cc
// files (attention_tile.h draws their layout).
//
//   forward    a task is kTaskTiles query tiles of one head. Where the tiles are too few to share
//              out (a decoder's single query), the keys of each are split into parts as well:
//              every part leaves a running softmax in shared scratch, and a second pass joins them.
//   backward   a task is a chunk of one head's query tiles. It writes its own rows of dQ, and adds
//              up dK and dV in sums of its own; a second pass adds the chunks' sums.
//
// Scratch, in floats:
//
//   | one part a thread | copies of K and V, head by head | forward: states; backward: sums |
//
// Invariants
//   1. Tiles, parts and chunks follow from the shape of a segment alone, so neither the threads nor
//      the other segments of a batch change a bit of the result.
//   2. An element of O, lse or dQ is written by one task. dK and dV are added chunk by chunk, in
//      the order of the chunks.
//   3. Nothing is allocated: a task finds its place in the scratch by adding up the heads before
//      its own (sum_before). A batch has few segments, so that costs less than a table would.
namespace inlay::kernels {
namespace {

using attention::Head;
using attention::head_tile;
using attention::head_tiles;
using attention::KeyGradients;
using attention::KeyRange;
using attention::kTileRows;
using attention::Tile;

using Segments = std::span<const Segment>;

constexpr i64 kCacheLine = 64 / sizeof(float);

/// A decoder asks one query of a long cache: then the heads are too few to share out, and the keys
/// of a tile are split as well. Joining costs the parts one more pass over their sums, so a part is
/// long.
i64 key_parts(const Head& head) {
  constexpr i64 kFewTiles = 4;
  constexpr i64 kPartKeys = 1024;
  constexpr i64 kMaxParts = 16;
  const i64 tiles = head_tiles(head);
  // Heads that go to the dot products were found to have one part before they were marked so
  // (segment_head), and must keep it.
  return tiles < kFewTiles && !head.dots ? std::clamp<i64>(head.k_count / kPartKeys, 1, kMaxParts)
                                         : 1;
}

Head segment_head(const AttentionParams& params, Segments segments, i64 segment, i64 kv_head) {
  const Segment& s = segments[segment];
  const i64 group = params.heads / params.kv_heads;
  Head head = {&params,   segment,   kv_head,   group,    kv_head * group,
               s.q_begin, s.q_count, s.k_begin, s.k_count};
  // A decoder meets each key with few rows: a copy would cost more than the products in f32.
  constexpr i64 kFewRows = 16;
  if (params.compute == AttentionCompute::kBf16 && key_parts(head) == 1 &&
      head.q_count * head.group > kFewRows) {
    const attention::Bf16ForwardKernels* kernels =
        INLAY_SELECT_BF16(attention_bf16_forward_kernels);
    head.dots = kernels != nullptr;
    head.rounds = !head.dots;
    head.tile_rows = head.dots ? kernels->tile_rows : kTileRows;
  }
  return head;
}

/// A task number, taken apart: task `index` of one head.
struct HeadTask {
  Head head;
  i64 index = 0;
};

using PerHead = i64 (*)(const Head&);

i64 count_tasks(const AttentionParams& params, Segments segments, PerHead per_head) {
  i64 count = 0;
  for (i64 s = 0; s < std::ssize(segments); ++s) {
    count += params.kv_heads * per_head(segment_head(params, segments, s, 0));
  }
  return count;
}

/// The tasks of a segment follow one another, and in it those of a head.
HeadTask find_task(const AttentionParams& params, Segments segments, i64 task, PerHead per_head) {
  // Found by walking over the segments, of which a batch has few.
  i64 s = 0;
  i64 each = per_head(segment_head(params, segments, s, 0));
  while (task >= params.kv_heads * each) {
    task -= params.kv_heads * each;
    each = per_head(segment_head(params, segments, ++s, 0));
  }
  return {segment_head(params, segments, s, task / each), task % each};
}

/// The sum of per_head over the heads before this one.
i64 sum_before(const Head& head, Segments segments, PerHead per_head) {
  i64 sum = head.kv_head * per_head(head);
  for (i64 s = 0; s < head.segment; ++s) {
    sum += head.params->kv_heads * per_head(segment_head(*head.params, segments, s, 0));
  }
  return sum;
}

float* aligned(float* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  return p + (64 - address % 64) % 64 / sizeof(float);
}

// Query tiles of a forward task: with one, nothing could be prefetched for the next; with many,
// long segments would end with some threads idle.
constexpr i64 kTaskTiles = 4;

KeyRange key_part(const Tile& tile, i64 part, i64 parts) {
  const i64 count = tile.some.end - tile.some.begin;
  // Whole blocks of the 8 keys whose scores stay in registers together.
  const i64 length = attention::round_up((count + parts - 1) / parts, 8);
  const i64 begin = std::min(tile.some.begin + part * length, tile.some.end);
  return {begin, std::min(begin + length, tile.some.end)};
}

/// States that outlive a task: those of the heads whose keys are split.
i64 shared_states(const Head& head) {
  const i64 parts = key_parts(head);
  return parts > 1 ? head_tiles(head) * parts : 0;
}

/// Tasks of a head: one for every part of a tile's keys, or one for a few whole tiles, so that a
/// thread can fetch the next tile's rows while it works.
i64 forward_tasks(const Head& head) {
  const i64 parts = key_parts(head), tiles = head_tiles(head);
  return parts > 1 ? tiles * parts : (tiles + kTaskTiles - 1) / kTaskTiles;
}

/// The query tiles of a head are split into chunks, each but the last with its own sums of dK and
/// dV: a dozen units of equal work over all KV heads. Short segments have as many as their tiles
/// allow: were they split only once they are long, the memory of the sums would grow faster than
/// the length. (Half as many are 4 % faster for two threads and short segments; but they would
/// leave most threads of a larger machine without work when one segment is all there is.)
i64 query_chunks(const Head& head) {
  constexpr i64 kUnits = 12;
  const i64 kv_heads = head.params->kv_heads;
  return std::clamp<i64>(head_tiles(head), 1, (kUnits + kv_heads - 1) / kv_heads);
}

struct TileRange {
  i64 begin = 0, end = 0;
};

/// The first tile of a chunk: the bounds are at equal numbers of visible pairs.
i64 chunk_begin(const Head& head, i64 chunk) {
  const i64 chunks = query_chunks(head), tiles = head_tiles(head);
  if (chunk == 0 || chunk == chunks) {
    return chunk == 0 ? 0 : tiles;
  }
  const auto keys = [&](i64 tile) {
    const KeyRange some = head_tile(head, tile).some;
    return some.end - some.begin;
  };
  i64 total = 0;
  for (i64 t = 0; t < tiles; ++t) {
    total += keys(t);
  }
  i64 first = 0;
  for (i64 sum = 0; sum * chunks < total * chunk; ++first) {
    sum += keys(first);
  }
  return first;
}

TileRange chunk_tiles(const Head& head, i64 chunk) {
  return {chunk_begin(head, chunk), chunk_begin(head, chunk + 1)};
}

/// The keys that a chunk's rows see.
KeyRange chunk_keys(const Head& head, TileRange tiles) {
  if (tiles.begin == tiles.end) {
    return {};
  }
  return {head_tile(head, tiles.begin).some.begin, head_tile(head, tiles.end - 1).some.end};
}

/// Chunks with sums of their own. The last one, which under a causal mask sees the most keys, adds
/// up dK and dV where they belong, if rows are whole vectors.
i64 private_chunks(const Head& head) {
  return query_chunks(head) - (head.params->head_dim % attention::kPad == 0 ? 1 : 0);
}

i64 padded_dim(const AttentionParams& params) {
  return attention::round_up(params.head_dim, attention::kPad);
}

/// Floats of the private sums of one head.
i64 partial_floats(const Head& head) {
  return private_chunks(head) * 2 * head.k_count * padded_dim(*head.params);
}

/// Where the private sums of a head's chunk are.
KeyGradients partial_sums(const Head& head, Segments segments, i64 chunk, float* partials) {
  const i64 D = padded_dim(*head.params);
  partials += sum_before(head, segments, partial_floats) + chunk * 2 * head.k_count * D;
  return {.dk = partials, .dv = partials + head.k_count * D, .dk_stride = D, .dv_stride = D};
}

KeyGradients final_sums(const Head& head, const AttentionBackward& args) {
  const AttentionParams& params = *head.params;
  const i64 column = head.kv_head * params.head_dim;
  return {.dk = args.dk + head.k_begin * params.k_stride + column,
          .dv = args.dv + head.k_begin * params.v_stride + column,
          .dk_stride = params.k_stride,
          .dv_stride = params.v_stride};
}

void clear(const KeyGradients& sums, KeyRange keys, i64 columns) {
  for (i64 c = keys.begin; c < keys.end; ++c) {
    std::fill_n(sums.dk + c * sums.dk_stride, columns, 0.0F);
    std::fill_n(sums.dv + c * sums.dv_stride, columns, 0.0F);
  }
}

/// Floats of a head's copies of K and V.
i64 copy_floats(const Head& head, bool backward) {
  if (head.rounds) {
    return attention::round_up(2 * head.k_count * head.params->head_dim, kCacheLine);
  }
  return head.dots ? attention::copy_floats(*head.params, head.k_count, backward) : 0;
}
i64 forward_copies(const Head& head) {
  return copy_floats(head, false);
}
i64 backward_copies(const Head& head) {
  return copy_floats(head, true);
}

/// Keys copied at a time.
constexpr i64 kCopyKeys = 256;

i64 copy_pieces(const Head& head) {
  const i64 keys = head.dots ? attention::copied_keys(head.k_count) : head.k_count;
  return head.dots || head.rounds ? (keys + kCopyKeys - 1) / kCopyKeys : 0;
}

/// A head that is one task copies its keys there, and finds them in its cache.
i64 shared_forward_pieces(const Head& head) {
  return forward_tasks(head) == 1 ? 0 : copy_pieces(head);
}
i64 shared_backward_pieces(const Head& head) {
  return query_chunks(head) == 1 ? 0 : copy_pieces(head);
}

/// Where the kernels find K and V of a head: in the tensors, or in bf16 or rounded copies in
/// `memory`, one head's after the other's.
template <class Args>
class KeySource {
 public:
  using CopyKeys = void (*)(const Head&, KeyRange, const Args&, u16*);

  KeySource(const AttentionParams& params, Segments segments, const Args& args, PerHead floats,
            float* memory, CopyKeys copy_keys)
      : params_(params),
        segments_(segments),
        args_(args),
        floats_(floats),
        memory_(memory),
        copy_keys_(copy_keys) {}

  /// Copies the keys of heads that are several tasks, in pieces.
  void fill(PerHead shared_pieces) const {
    parallel_for(count_tasks(params_, segments_, shared_pieces), [&](i64 task) {
      const auto [head, index] = find_task(params_, segments_, task, shared_pieces);
      copy_piece(head, index);
    });
  }

  /// Copies those of one head.
  void fill(const Head& head) const {
    for (i64 index = 0; index < copy_pieces(head); ++index) {
      copy_piece(head, index);
    }
  }

  Head with_keys(Head head) const {
    const i64 D = params_.head_dim;
    if (head.rounds) {
      head.k = copies(head);
      head.v = head.k + head.k_count * D;
      head.k_stride = head.v_stride = D;
      return head;
    }
    head.copies = reinterpret_cast<u16*>(copies(head));
    return of_tensors(head);
  }

 private:
  void copy_piece(const Head& head, i64 index) const {
    const i64 keys = head.rounds ? head.k_count : attention::copied_keys(head.k_count);
    const KeyRange piece = {index * kCopyKeys, std::min((index + 1) * kCopyKeys, keys)};
    if (head.rounds) {
      round(head, piece);
    } else {
      copy_keys_(head, piece, args_, reinterpret_cast<u16*>(copies(head)));
    }
  }

  float* copies(const Head& head) const { return memory_ + sum_before(head, segments_, floats_); }

  Head of_tensors(Head head) const {
    const i64 column = head.kv_head * params_.head_dim;
    head.k = args_.k + head.k_begin * params_.k_stride + column;
    head.v = args_.v + head.k_begin * params_.v_stride + column;
    head.k_stride = params_.k_stride;
    head.v_stride = params_.v_stride;
    return head;
  }

  void round(const Head& head, KeyRange keys) const {
    const auto round_rows = INLAY_SELECT(attention_forward_kernels).round_rows;
    const Head from = of_tensors(head);
    const i64 D = params_.head_dim, rows = keys.end - keys.begin;
    float* k = copies(head) + keys.begin * D;
    round_rows(rows, D, from.k + keys.begin * from.k_stride, from.k_stride, k, D);
    round_rows(rows, D, from.v + keys.begin * from.v_stride, from.v_stride, k + head.k_count * D,
               D);
  }

  const AttentionParams& params_;
  Segments segments_;
  const Args& args_;
  PerHead floats_;
  float* memory_;
  CopyKeys copy_keys_;
};

i64 forward_thread_floats(const AttentionParams& params) {
  const attention::Bf16ForwardKernels* dots = INLAY_SELECT_BF16(attention_bf16_forward_kernels);
  return std::max(attention::forward_thread_floats(params), dots ? dots->thread_floats(params) : 0);
}
i64 backward_thread_floats(const AttentionParams& params) {
  const attention::Bf16BackwardKernels* dots = INLAY_SELECT_BF16(attention_bf16_backward_kernels);
  return std::max(attention::backward_thread_floats(params),
                  dots ? dots->thread_floats(params) : 0);
}

struct BackwardTask {
  const attention::BackwardKernels& kernels;
  const attention::Bf16BackwardKernels* bf16_kernels;
  Segments segments;
  const AttentionBackward& args;
  const KeySource<AttentionBackward>& source;
  float* partials;

  void run_chunk(Head head, i64 chunk, float* scratch) const {
    const TileRange tiles = chunk_tiles(head, chunk);
    const KeyRange keys = chunk_keys(head, tiles);
    KeyGradients sums = final_sums(head, args);
    if (chunk < private_chunks(head)) {
      sums = partial_sums(head, segments, chunk, partials);
    } else {
      // This chunk adds up in dK and dV themselves, to which the others' sums are added later: rows
      // of keys that it does not see must hold 0 by then.
      clear(sums, {0, keys.begin}, head.params->head_dim);
      clear(sums, {keys.end, head.k_count}, head.params->head_dim);
    }
    // The rows behind are not cleared here but by the kernels, just before they are first added to:
    // then they are in the cache for the addition.
    sums.fresh = keys.begin;
    if (query_chunks(head) == 1) {
      source.fill(head);
    }
    head = source.with_keys(head);
    if (head.dots) {
      bf16_kernels->tiles(head, tiles.begin, tiles.end, args, sums, scratch);
    } else {
      kernels.tiles(head, tiles.begin, tiles.end, args, sums, scratch);
    }
  }

  /// Keys [begin, end) of dK and dV: what the last chunk left there, if anything, and the chunks'
  /// own sums, added in their order.
  void add_chunks(const Head& head, KeyRange keys) const {
    const i64 D = head.params->head_dim;
    const KeyGradients to = final_sums(head, args);
    const i64 chunks = private_chunks(head);
    // No chunk added up in place.
    if (chunks == query_chunks(head)) {
      clear(to, keys, D);
    }
    // The last chunk is in `to` already, the others follow from the first on: a fixed order.
    for (i64 chunk = 0; chunk < chunks; ++chunk) {
      const KeyGradients from = partial_sums(head, segments, chunk, partials);
      const KeyRange seen = chunk_keys(head, chunk_tiles(head, chunk));
      const i64 begin = std::max(keys.begin, seen.begin);
      const i64 rows = std::min(keys.end, seen.end) - begin;
      kernels.add_rows(rows, D, from.dk + begin * from.dk_stride, from.dk_stride,
                       to.dk + begin * to.dk_stride, to.dk_stride);
      kernels.add_rows(rows, D, from.dv + begin * from.dv_stride, from.dv_stride,
                       to.dv + begin * to.dv_stride, to.dv_stride);
    }
  }
};

}  // namespace

i64 attention_forward_scratch(const AttentionParams& params, Segments segments) {
  return kCacheLine + num_threads() * forward_thread_floats(params) +
         count_tasks(params, segments, forward_copies) +
         count_tasks(params, segments, shared_states) * attention::state_floats(params);
}

i64 attention_backward_scratch(const AttentionParams& params, Segments segments) {
  return kCacheLine + num_threads() * backward_thread_floats(params) +
         count_tasks(params, segments, backward_copies) +
         count_tasks(params, segments, partial_floats);
}

void attention_forward(const AttentionParams& params, Segments segments,
                       const AttentionForward& args, std::span<float> scratch) {
  const attention::ForwardKernels& kernels = INLAY_SELECT(attention_forward_kernels);
  const attention::Bf16ForwardKernels* bf16_kernels =
      INLAY_SELECT_BF16(attention_bf16_forward_kernels);
  const i64 thread_floats = forward_thread_floats(params);
  const i64 state_floats = attention::state_floats(params);
  float* threads = aligned(scratch.data());
  const KeySource<AttentionForward> source(params, segments, args, forward_copies,
                                           threads + num_threads() * thread_floats,
                                           bf16_kernels ? bf16_kernels->copy_keys : nullptr);
  float* shared =
      threads + num_threads() * thread_floats + count_tasks(params, segments, forward_copies);

  const auto states_of = [&](const Head& head, i64 tile) {
    const i64 before = sum_before(head, segments, shared_states) + tile * key_parts(head);
    return shared + before * state_floats;
  };
  // Copies that several tasks read are made before any of them starts.
  source.fill(shared_forward_pieces);
  parallel_for(count_tasks(params, segments, forward_tasks), [&](i64 task) {
    auto [head, index] = find_task(params, segments, task, forward_tasks);
    if (forward_tasks(head) == 1) {
      source.fill(head);
    }
    head = source.with_keys(head);
    float* own = threads + thread_index() * thread_floats;
    const i64 parts = key_parts(head), tiles = head_tiles(head);
    if (parts > 1) {
      const Tile tile = head_tile(head, index / parts);
      const i64 part = index % parts;
      float* state = states_of(head, index / parts) + part * state_floats;
      kernels.keys(head, tile, key_part(tile, part, parts), args, state, own);
      return;
    }
    // Backwards: under a causal mask the last tiles are the longest.
    const i64 begin = (forward_tasks(head) - 1 - index) * kTaskTiles;
    const i64 end = std::min(begin + kTaskTiles, tiles);
    if (head.dots) {
      bf16_kernels->tiles(head, begin, end, args, own);
    } else {
      kernels.tiles(head, begin, end, args, own);
    }
  });

  const auto split_tiles = [](const Head& head) {
    return key_parts(head) > 1 ? head_tiles(head) : 0;
  };
  parallel_for(count_tasks(params, segments, split_tiles), [&](i64 task) {
    const auto [head, index] = find_task(params, segments, task, split_tiles);
    kernels.finish(head, head_tile(head, index), key_parts(head), args, states_of(head, index));
  });
  if (params.sinks != nullptr) {
    attention::add_sinks(params, segments, args);
  }
}

void attention_backward(const AttentionParams& params, Segments segments,
                        const AttentionBackward& args, std::span<float> scratch) {
  const i64 thread_floats = backward_thread_floats(params);
  float* threads = aligned(scratch.data());
  float* shared = threads + num_threads() * thread_floats;
  const attention::Bf16BackwardKernels* bf16_kernels =
      INLAY_SELECT_BF16(attention_bf16_backward_kernels);
  const KeySource<AttentionBackward> source(params, segments, args, backward_copies, shared,
                                            bf16_kernels ? bf16_kernels->copy_keys : nullptr);
  const BackwardTask work = {INLAY_SELECT(attention_backward_kernels),
                             bf16_kernels,
                             segments,
                             args,
                             source,
                             shared + count_tasks(params, segments, backward_copies)};

  // As in forward: copies that several tasks read come first.
  source.fill(shared_backward_pieces);
  parallel_for(count_tasks(params, segments, query_chunks), [&](i64 task) {
    const auto [head, chunk] = find_task(params, segments, task, query_chunks);
    work.run_chunk(head, chunk, threads + thread_index() * thread_floats);
  });

  // Keys of a task that adds the chunks' sums.
  constexpr i64 kSumKeys = 256;
  const auto sums = [](const Head& head) {
    return private_chunks(head) == 0 ? 0 : (head.k_count + kSumKeys - 1) / kSumKeys;
  };
  parallel_for(count_tasks(params, segments, sums), [&](i64 task) {
    const auto [head, index] = find_task(params, segments, task, sums);
    work.add_chunks(head, {index * kSumKeys, std::min(head.k_count, (index + 1) * kSumKeys)});
  });
}

}  // namespace inlay::kernels
