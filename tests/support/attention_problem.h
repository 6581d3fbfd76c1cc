// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/kernels/attention.h"
#include "core/random.h"

/// Attention problems with memory around them that no one may touch.
namespace inlay::testing {

/// One shape.
struct AttentionCase {
  std::vector<Segment> segments = {};
  i64 heads = 1, kv_heads = 1, head_dim = 8;
  bool causal = true;
  i64 window = 0;
  float softcap = 0.0F, dropout = 0.0F;
  float spread = 1.0F;  // standard deviation of q and k
  kernels::AttentionCompute compute = kernels::AttentionCompute::kF32;
};

/// Segments of these (queries, keys), packed without gaps.
inline std::vector<Segment> packed(const std::vector<std::pair<i64, i64>>& lengths) {
  std::vector<Segment> segments;
  i64 q = 0, k = 0;
  for (const auto& [queries, keys] : lengths) {
    segments.push_back({q, queries, k, keys});
    q += queries;
    k += keys;
  }
  return segments;
}

inline std::string name_of(const AttentionCase& c) {
  std::string text =
      str("heads ", c.heads, " over ", c.kv_heads, " of ", c.head_dim, c.causal ? " causal" : "",
          " window ", c.window, " softcap ", c.softcap, " dropout ", c.dropout, " segments");
  for (const Segment& s : c.segments) {
    text += str(" ", s.q_count, "x", s.k_count);
  }
  return text;
}

constexpr i64 kGap = 3;      // floats between the rows of q, k, v, o that no one may touch
constexpr i64 kGapRows = 2;  // and rows before and behind all segments
constexpr float kUntouched = std::numeric_limits<float>::quiet_NaN();

/// Rows of a tensor with a gap behind each and rows around, all NaN: what reads there spoils its
/// result, what writes there is seen.
template <class T>
class GuardedRows {
 public:
  GuardedRows() = default;
  GuardedRows(i64 rows, i64 width)
      : rows_(rows), width_(width), values_((rows + 2 * kGapRows) * stride(), T(kUntouched)) {}

  i64 stride() const { return width_ + kGap; }
  T* data() { return values_.data() + kGapRows * stride(); }
  const T* data() const { return values_.data() + kGapRows * stride(); }
  T& at(i64 row, i64 column) { return data()[row * stride() + column]; }
  const T& at(i64 row, i64 column) const { return data()[row * stride() + column]; }
  i64 rows() const { return rows_; }
  i64 width() const { return width_; }

  void fill_normal(u64 key, float stddev) {
    for (i64 r = 0; r < rows_; ++r) {
      std::vector<float> row(width_);
      inlay::fill_normal(row, RandomKey(key).with(static_cast<u64>(r)), 0.0F, stddev);
      std::copy(row.begin(), row.end(), &at(r, 0));
    }
  }
  void fill(T value) {
    for (i64 r = 0; r < rows_; ++r) {
      std::fill_n(&at(r, 0), width_, value);
    }
  }
  void round_to_bf16() {
    for (i64 r = 0; r < rows_; ++r) {
      for (i64 c = 0; c < width_; ++c) {
        const u32 bits = std::bit_cast<u32>(static_cast<float>(at(r, c)));
        at(r, c) = std::bit_cast<float>((bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U);
      }
    }
  }
  bool gaps_untouched() const {
    for (i64 i = 0; i < static_cast<i64>(values_.size()); ++i) {
      const i64 row = i / stride() - kGapRows;
      const bool gap = i % stride() >= width_ || row < 0 || row >= rows_;
      if (gap && !std::isnan(values_[i])) {
        return false;
      }
    }
    return true;
  }
  double largest() const {
    double most = 0.0;
    for (i64 r = 0; r < rows_; ++r) {
      for (i64 c = 0; c < width_; ++c) {
        most = std::max(most, std::abs(static_cast<double>(at(r, c))));
      }
    }
    return most;
  }
  double largest_norm(i64 head_dim) const {
    double most = 0.0;
    for (i64 r = 0; r < rows_; ++r) {
      for (i64 c = 0; c < width_; c += head_dim) {
        double sum = 0.0;
        for (i64 d = 0; d < head_dim; ++d) {
          sum += std::pow(static_cast<double>(at(r, c + d)), 2);
        }
        most = std::max(most, std::sqrt(sum));
      }
    }
    return most;
  }

 private:
  i64 rows_ = 0, width_ = 0;
  std::vector<T> values_;
};

inline kernels::AttentionParams params_of(const AttentionCase& c) {
  const i64 q_width = c.heads * c.head_dim, k_width = c.kv_heads * c.head_dim;
  return {.heads = c.heads,
          .kv_heads = c.kv_heads,
          .head_dim = c.head_dim,
          .q_stride = q_width + kGap,
          .k_stride = k_width + kGap,
          .v_stride = k_width + kGap,
          .o_stride = q_width + kGap,
          .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
          .causal = c.causal,
          .window = c.window,
          .softcap = c.softcap,
          .dropout = c.dropout,
          .dropout_key = 0x1234567890ABCDEFU,
          .compute = c.compute};
}

/// Inputs and everything attention makes of them.
template <class T>
struct AttentionProblem {
  explicit AttentionProblem(const AttentionCase& c) : shape(c), params(params_of(c)) {
    const Segment& last = c.segments.back();
    total_q = last.q_begin + last.q_count;
    const i64 keys = last.k_begin + last.k_count;
    const i64 q_width = c.heads * c.head_dim, k_width = c.kv_heads * c.head_dim;
    q = o = dO = dq = GuardedRows<T>(total_q, q_width);
    k = v = dk = dv = GuardedRows<T>(keys, k_width);
    lse.assign(c.heads * total_q, T(kUntouched));
    q.fill_normal(1, c.spread);
    k.fill_normal(2, c.spread);
    v.fill_normal(3, 1.0F);
    dO.fill_normal(4, 1.0F);
  }

  kernels::AttentionForwardOf<T> forward_args() {
    return {q.data(), k.data(), v.data(), o.data(), lse.data(), total_q};
  }
  kernels::AttentionBackwardOf<T> backward_args() {
    return {q.data(),  k.data(),  v.data(),  o.data(),  lse.data(),
            dO.data(), dq.data(), dk.data(), dv.data(), total_q};
  }

  void round_to_bf16() {
    for (GuardedRows<T>* x : {&q, &k, &v, &dO}) {
      x->round_to_bf16();
    }
  }

  AttentionCase shape;
  kernels::AttentionParams params;
  i64 total_q = 0;
  GuardedRows<T> q, k, v, o, dO, dq, dk, dv;
  std::vector<T> lse;
};

template <class T>
void run_reference(AttentionProblem<T>& p) {
  std::vector<float> scratch(kernels::reference::attention_scratch(p.shape.segments));
  kernels::reference::attention_forward(p.params, p.shape.segments, p.forward_args(), scratch);
  kernels::reference::attention_backward(p.params, p.shape.segments, p.backward_args(), scratch);
}

inline void run_tiled(AttentionProblem<float>& p) {
  // Whatever the scratch memory holds must not matter.
  std::vector<float> scratch(kernels::attention_forward_scratch(p.params, p.shape.segments),
                             kUntouched);
  kernels::attention_forward(p.params, p.shape.segments, p.forward_args(), scratch);
  scratch.assign(kernels::attention_backward_scratch(p.params, p.shape.segments), kUntouched);
  kernels::attention_backward(p.params, p.shape.segments, p.backward_args(), scratch);
}

}  // namespace inlay::testing
