// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/ops/rope.h"

namespace inlay {

enum class RopeType { kDefault, kLinear, kDynamic, kLlama3, kYarn, kLongrope };

/// The rotary settings of a model, by the keys of `rope_parameters` in config.json.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  i64 rotary_dim = 64;  // D': how many values of a head turn
  double theta = 10000.0;
  double factor = 1.0;
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
};

/// Angles per position: f[k], k < D' / 2, and the factor on cosines and sines.
///   default:  theta^(-2k / D');   linear: that / factor
///   dynamic:  theta grows with the length n of the pass once n > M, by
///             (factor n / M - (factor - 1))^(D' / (D' - 2))
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

  /// Cosines and sines [n, D'/2] for an n above the largest of `positions`.
  const RopeTables& tables(std::span<const i32> positions) const;

 private:
  RopeConfig config_;
  std::vector<float> divisors_;
  mutable i64 regime_ = -1;  // the lengths that tables_ is for
  mutable RopeFrequencies frequencies_;
  mutable RopeTables tables_;
};

}  // namespace inlay
