// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/ops/rope.h"

namespace inlay {

enum class RopeType {
  kDefault,
  kLinear,
  kDynamic,
  kNtkAlpha,
  kLlama3,
  kYarn,
  kLongrope,
  kProportional
};

/// The rotary settings of a model or of some of its layers, by the keys of `rope_parameters` in
/// config.json.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  /// D': how many values of a head turn, the first ones; one more where it is odd. With
  /// kProportional those that could turn: all of the head.
  i64 rotary_dim = 64;
  RopePairs order = RopePairs::kHalves;
  bool backwards = false;  // turned by the negative angles (nanochat)
  double theta = 10000.0;
  double factor = 1.0;
  double alpha = 1.0;                                    // ntk-alpha
  double proportion = 1.0;                               // proportional: of the pairs that turn
  i64 max_positions = 0;                                 // M: dynamic
  i64 original_max_positions = 0;                        // L0: llama3, yarn, longrope
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  bool truncate = true;           // yarn: round the ramp's ends to whole dimensions
  double attention_factor = 0.0;  // yarn, longrope: > 0 overrides what follows from factor
  double mscale = 0.0, mscale_all_dim = 0.0;  // yarn: both set, or neither counts
  std::vector<double> short_factor = {},
                      long_factor = {};  // longrope: a divisor for each frequency
  /// GGUF only: how much of a frequency that yarn keeps is kept, and a factor on cosines and sines
  /// whatever the type.
  double extrapolation = 1.0, magnitude = 1.0;
  /// Queries alone, > 0: those at position p are multiplied by
  /// 1 + query_growth ln(1 + floor(p / query_growth_positions)) (Llama 4, Ministral 3). For heads
  /// that turn whole.
  double query_growth = 0.0;
  i64 query_growth_positions = 1;

  /// longrope: a sequence that outgrows L0 is computed anew, its first tokens by long_factor, too
  /// (Phi-3). Without it they keep the angles they have in the cache.
  bool outgrown_anew = false;

  /// The pairs of a head that turn.
  i64 pairs() const;
};

/// Angles per position: f[k], k < pairs(), and the factor on cosines and sines.
///   default:  theta^(-2k / D');   linear: that / factor
///   proportional: that / factor, for k < proportion D' / 2 alone
///   dynamic:  theta grows with the length n of the pass once n > M, by
///             (factor n / M - (factor - 1))^(D' / (D' - 2))
///   ntk-alpha: theta times alpha^(D' / (D' - 2)), at any length
///   llama3:   kept above the high-frequency bound, divided below the low one, interpolated between
///             (Llama 3.1)
///   yarn:     interpolated by a ramp over the dimensions (Peng et al. 2023, arXiv:2309.00071,
///             section 3.2)
///   longrope: divided one by one, by short_factor while n <= L0, else by long_factor (Ding et al.
///             2024, arXiv:2402.13753)
struct RopeFrequencies {
  std::vector<double> frequency;
  double attention_factor = 1.0;
};
/// For a pass over positions up to length - 1.
RopeFrequencies rope_frequencies(const RopeConfig& config, i64 length = 1);

/// The tables of one setting, grown when a later position is asked for, and made anew when the
/// length of the pass asks for other frequencies (dynamic, longrope).
class RotaryEmbedding {
 public:
  explicit RotaryEmbedding(const RopeConfig& config);
  /// With frequencies divided one by one by `divisors` (GGUF's rope_freqs), if not empty.
  RotaryEmbedding(const RopeConfig& config, std::span<const float> divisors);

  /// Cosines and sines [n, pairs] for an n above the largest of `positions`, as rope() takes them:
  /// order, direction and partial heads are in them.
  const RopeTables& tables(std::span<const i32> positions) const;
  /// The same for queries, which some models scale by their positions; mostly those of all.
  const RopeTables& query_tables(std::span<const i32> positions) const;

 private:
  RopeConfig config_;
  std::vector<float> divisors_;
  mutable i64 regime_ = -1;  // the lengths that tables_ is for
  mutable RopeFrequencies frequencies_;
  mutable RopeTables tables_, query_tables_;
};

}  // namespace inlay
