// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/memory/memory.h"
#include "core/ops/attention.h"
#include "core/parallel.h"
#include "core/random.h"

namespace inlay {
namespace {

Tensor leaf(i64 rows, i64 width, const char* name) {
  const Tensor t = Tensor::empty({rows, width});
  fill_normal(t.mutable_values(), RandomKey(1).with(name), 0.0F, 1.0F);
  return t.set_requires_grad(true);
}

// Each thread has tiles of its own: with many of them, they would hide the growth.
class TwoThreads {
 public:
  TwoThreads() { set_num_threads(2); }
  ~TwoThreads() { set_num_threads(before_); }
  TwoThreads(const TwoThreads&) = delete;
  TwoThreads& operator=(const TwoThreads&) = delete;

 private:
  int before_ = num_threads();
};

// The most bytes held at once by a forward and a backward pass over T tokens, beyond what was held
// before: q, k and v are part of it.
double peak_bytes(const AttentionOptions& options, i64 T) {
  const TwoThreads scope;
  const i64 before = current_memory().total();
  reset_peak_memory();
  const Tensor q = leaf(T, options.heads * options.head_dim, "q");
  const Tensor k = leaf(T, options.kv_heads * options.head_dim, "k");
  const Tensor v = leaf(T, options.kv_heads * options.head_dim, "v");
  const std::vector<Segment> segments = {{0, T, 0, T}};
  const Tensor y = attention(q, k, v, segments, options);
  backward(y, Tensor::full(y.shape(), 1.0F));
  return static_cast<double>(peak_memory().total() - before);
}

// The slope of log(bytes) over log(T), by least squares.
double growth(const AttentionOptions& options, const std::vector<i64>& lengths) {
  double n = 0.0;
  double sx = 0.0;
  double sy = 0.0;
  double sxx = 0.0;
  double sxy = 0.0;
  for (const i64 T : lengths) {
    const double x = std::log(static_cast<double>(T));
    const double y = std::log(peak_bytes(options, T));
    n += 1.0;
    sx += x;
    sy += y;
    sxx += x * x;
    sxy += x * y;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

// 1.1: tensors grow as T, the scratch of the tiles not at all. A score for each pair grows as 2.
constexpr double kLinear = 1.1;

TEST(AttentionMemory, GrowsLinearlyWithTheLength) {
  const AttentionOptions options{.heads = 12, .kv_heads = 12, .head_dim = 4};
  const double slope = growth(options, {512, 2048, 16384});
  EXPECT_LE(slope, kLinear);
  EXPECT_GE(slope, 0.9) << "a part of the memory is not counted";
}

// Backward splits the queries of few heads into parts that each sum dK and dV: as many parts for a
// short sequence as for a long one.
TEST(AttentionMemory, OfFewHeadsGrowsLinearlyToo) {
  const struct {
    i64 heads, kv_heads, head_dim;
  } cases[] = {{1, 1, 64}, {4, 1, 64}, {2, 2, 64}, {9, 3, 64}, {2, 1, 4}};
  for (const auto& c : cases) {
    const AttentionOptions options{
        .heads = c.heads, .kv_heads = c.kv_heads, .head_dim = c.head_dim};
    EXPECT_LE(growth(options, {512, 1024, 2048, 4096}), kLinear) << c.heads << "/" << c.kv_heads;
  }
  const AttentionOptions one{.heads = 1, .kv_heads = 1, .head_dim = 64};
  EXPECT_LE(growth(one, {512, 16384}), kLinear);
}

TEST(AttentionMemory, OfTheReferenceGrowsAsItsSquare) {
  const AttentionOptions options{
      .heads = 1, .kv_heads = 1, .head_dim = 4, .kind = AttentionKind::kReference};
  EXPECT_GE(growth(options, {512, 1024, 2048}), 1.8);
}

}  // namespace
}  // namespace inlay
