// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"

/// Random numbers by address. A stream is named by a key folded from what it is for (seed, purpose,
/// step, tensor), and draw i of it is a pure function of (key, i): no state to save, no draw that
/// shifts another, any thread may take any part. Philox-4x32-10.
namespace inlay {

class RandomKey {
 public:
  explicit RandomKey(u64 seed) : value_(seed) {}
  /// The stream of this key narrowed to one number or name; order matters.
  RandomKey with(u64 number) const;
  RandomKey with(std::string_view name) const;
  u64 value() const { return value_; }

 private:
  u64 value_;
};

/// 32 random bits: draw `index` of the stream.
u32 random_bits(RandomKey key, u64 index);
/// Uniform in [0, 1) with 24 bits.
float random_uniform(RandomKey key, u64 index);
/// Uniform in [0, bound), bound > 0, without modulo bias to 2^-32.
u64 random_below(RandomKey key, u64 index, u64 bound);

/// out[i] = low + (high - low) * uniform(i)
void fill_uniform(std::span<float> out, RandomKey key, float low, float high);
/// out[i] ~ N(mean, stddev^2) by Box-Muller on draws 2i and 2i + 1.
/// With `first`, what a longer fill would have from there on.
void fill_normal(std::span<float> out, RandomKey key, float mean, float stddev, i64 first = 0);

/// A uniformly random order of 0 … count - 1 (Fisher-Yates).
std::vector<i64> random_permutation(i64 count, RandomKey key);

}  // namespace inlay
