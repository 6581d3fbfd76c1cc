// SPDX-License-Identifier: Apache-2.0
#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "core/kernels/philox.h"
#include "core/parallel.h"

namespace inlay {
namespace {

// Values a task fills: enough to hide the cost of taking a task.
constexpr i64 kFillGrain = 1 << 14;

// SplitMix64's finaliser: every input bit reaches every output bit.
u64 mix(u64 x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

float unit_float(u32 bits) {
  return static_cast<float>(bits >> 8) * 0x1p-24F;
}

}  // namespace

RandomKey RandomKey::with(u64 number) const {
  // Mixed before and after: without the first, keys that differ by the same bits as two numbers
  // would meet.
  return RandomKey(mix(mix(value_) ^ number));
}

RandomKey RandomKey::with(std::string_view name) const {
  u64 hash = 0xCBF29CE484222325U;  // FNV-1a
  for (const char c : name) {
    hash = (hash ^ static_cast<u8>(c)) * 0x100000001B3U;
  }
  // The high word differs from that of any small number, so with("") and with(0) are different
  // streams.
  return with(mix(hash ^ name.size()));
}

// The second counter word keeps the three kinds of draws apart: 0 for bits, 1 for bounded integers,
// 2 for normals. So one key can serve all of them.
u32 random_bits(RandomKey key, u64 index) {
  return kernels::philox(key.value(), index / 4, 0).word[index % 4];
}

float random_uniform(RandomKey key, u64 index) {
  return unit_float(random_bits(key, index));
}

__extension__ using Wide = unsigned __int128;

u64 random_below(RandomKey key, u64 index, u64 bound) {
  const kernels::PhiloxWords words = kernels::philox(key.value(), index, 1);
  // Lemire's multiplication: the upper half of wide * bound is uniform in [0, bound) to 2^-32 and
  // needs no division.
  const u64 wide = (u64{words.word[0]} << 32) | words.word[1];
  return static_cast<u64>((static_cast<Wide>(wide) * bound) >> 64);
}

void fill_uniform(std::span<float> out, RandomKey key, float low, float high) {
  parallel_rows(static_cast<i64>(out.size()), kFillGrain, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      out[i] = low + (high - low) * random_uniform(key, static_cast<u64>(i));
    }
  });
}

void fill_normal(std::span<float> out, RandomKey key, float mean, float stddev, i64 first) {
  parallel_rows(static_cast<i64>(out.size()), kFillGrain, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      const kernels::PhiloxWords words =
          kernels::philox(key.value(), static_cast<u64>(first + i), 2);
      // 1 - u is in (0, 1], so the logarithm is finite.
      const double radius =
          std::sqrt(-2.0 * std::log(1.0 - static_cast<double>(words.word[0]) * 0x1p-32));
      const double angle = 2.0 * std::numbers::pi * (static_cast<double>(words.word[1]) * 0x1p-32);
      out[i] = mean + stddev * static_cast<float>(radius * std::cos(angle));
    }
  });
}

std::vector<i64> random_permutation(i64 count, RandomKey key) {
  std::vector<i64> order(count);
  std::iota(order.begin(), order.end(), i64{0});
  for (i64 i = count - 1; i > 0; --i) {
    // Draw i decides place i: the order is a function of key and count alone.
    const u64 j = random_below(key, static_cast<u64>(i), static_cast<u64>(i) + 1);
    std::swap(order[i], order[j]);
  }
  return order;
}

}  // namespace inlay
