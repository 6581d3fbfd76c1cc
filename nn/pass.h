// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/random.h"
#include "core/tensor/host_list.h"

namespace inlay {

class SequenceCache;

/// The tokens of one or more sequences laid end to end, without padding: N tokens in all.
struct PackedTokens {
  std::vector<i32> ids;           // [N]
  std::vector<i32> positions;     // [N], counted in each sequence
  std::vector<Segment> segments;  // one a sequence; keys are its own tokens
  std::vector<i64> cache_slots;   // with a cache: the slot each sequence lives in

  i64 size() const { return static_cast<i64>(ids.size()); }
  /// Adds a sequence, or the next tokens of one, whose first token stands at `first_position`.
  void append(std::span<const i32> sequence, i64 first_position = 0, i64 cache_slot = 0);

  /// The same lists as operations take them, made once for all layers: after the last append.
  const Indices& id_list() const;
  const Indices& position_list() const;
  const Segments& segment_list() const;

 private:
  mutable std::optional<Indices> id_list_, position_list_;
  mutable std::optional<Segments> segment_list_;
};

/// What backward computes again instead of keeping it from the forward pass (Chen et al. 2016,
/// arXiv:1604.06174; the choice of what is cheap to make again: Korthikanti et al. 2022,
/// arXiv:2205.05198).
enum class Recompute : u8 {
  kNone,
  /// The results of the MLP's first products, the widest of a block, and of attention's last, the
  /// cheapest.
  kSelective,
  kBlock,  // all of a block but its input
};

/// Keys and values of a layer that others read too, as attention takes them.
struct SharedHeads {
  Tensor k, v;
};

/// What a forward pass needs to know besides the values. The tokens must outlive the backward pass.
struct Pass {
  const PackedTokens* tokens = nullptr;
  bool training = false;  // dropout on
  RandomKey dropout{0};   // narrowed by each module with its name
  /// false: layers compute as if they had no adapters. What an adapter put in a layer's place
  /// (modules_to_save) has no base to go back to, and stays.
  bool adapters = true;
  AttentionKind attention = AttentionKind::kTiled;
  /// What products of layers round their operands to; kInt8: those of frozen layers, and bf16 all
  /// others, adapters, attention and the head.
  GemmCompute compute = GemmCompute::kF32;
  Keep keep = Keep::kExact;  // of what backward reads; kRounded: the residual stream stays exact
  Recompute recompute = Recompute::kNone;
  std::optional<i64> recompute_layers;  // so many blocks, from the first, do; all without a number
  SequenceCache* cache = nullptr;       // generation: what layers keep of earlier tokens
  /// Of the layer at hand, in a model whose layers share keys and values: those it reads, or where
  /// it leaves its own.
  SharedHeads* shared = nullptr;
};

}  // namespace inlay
