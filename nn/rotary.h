// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/ops/rope.h"

namespace inlay {

enum class RopeType { kDefault, kLinear, kLlama3, kYarn };

/// The rotary settings of a model, by the keys of `rope_parameters` in config.json.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  i64 rotary_dim = 64;  // D': how many values of a head turn
  double theta = 10000.0;
  double factor = 1.0;
  i64 original_max_positions = 0;                        // L0
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  bool truncate = true;                       // yarn: round the ramp's ends to whole dimensions
  double attention_factor = 0.0;              // yarn: > 0 overrides 0.1 ln(factor) + 1
  double mscale = 0.0, mscale_all_dim = 0.0;  // yarn: > 0 in pairs
};

/// Angles per position: f[k], k < D' / 2, and the factor on cosines and sines.
///   default: theta^(-2k / D');   linear: that / factor
///   llama3:  kept above the high-frequency bound, divided below the low one, interpolated between
///   (Llama 3.1) yarn:    interpolated by a ramp over the dimensions (Peng et al. 2023,
///   arXiv:2309.00071, section 3.2)
struct RopeFrequencies {
  std::vector<double> frequency;
  double attention_factor = 1.0;
};
RopeFrequencies rope_frequencies(const RopeConfig& config);

/// The tables of one setting, grown when a later position is asked for.
class RotaryEmbedding {
 public:
  explicit RotaryEmbedding(const RopeConfig& config);
  /// With frequencies divided one by one by `divisors` (GGUF's rope_freqs), if not empty.
  RotaryEmbedding(const RopeConfig& config, std::span<const float> divisors);

  /// Cosines and sines [n, D'/2] for an n above the largest of `positions`.
  const RopeTables& tables(std::span<const i32> positions) const;

 private:
  RopeFrequencies frequencies_;
  mutable RopeTables tables_;
};

}  // namespace inlay
