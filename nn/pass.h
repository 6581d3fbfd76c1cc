// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/random.h"

namespace inlay {

class KvCache;

/// The tokens of one or more sequences laid end to end, without padding: N tokens in all.
struct PackedTokens {
  std::vector<i32> ids;                    // [N]
  std::vector<i32> positions;              // [N], counted in each sequence
  std::vector<AttentionSegment> segments;  // one a sequence; keys are its own tokens
  std::vector<i64> cache_slots;            // with a KvCache: the slot each sequence lives in

  i64 size() const { return static_cast<i64>(ids.size()); }
  /// Adds a sequence, or the next tokens of one, whose first token stands at `first_position`.
  void append(std::span<const i32> sequence, i64 first_position = 0, i64 cache_slot = 0);
};

/// What a forward pass needs to know besides the values. It must outlive the backward pass.
struct Pass {
  const PackedTokens* tokens = nullptr;
  bool training = false;  // dropout on
  RandomKey dropout{0};   // narrowed by each module with its name
  AttentionKind attention = AttentionKind::kTiled;
  /// What products of layers round their operands to; kInt8: those of frozen layers, and bf16 all
  /// others, adapters, attention and the head.
  GemmCompute compute = GemmCompute::kF32;
  bool checkpoint_blocks =
      false;                 // recompute each block in backward instead of keeping what it saved
  KvCache* cache = nullptr;  // generation: keys and values of earlier tokens
};

}  // namespace inlay
