// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <new>

#include "core/kernels/attention.h"
#include "core/kernels/philox.h"

// Attention as it is written on paper: one query head of one segment at a time, every weight in
// memory, all sums in double. It shares no code with the tiled form, and its backward pass rebuilds
// the softmax from Q and K alone, so it cannot inherit a mistake of the forward one.
namespace inlay::kernels::reference {
namespace {

/// Query head `head` of segment `index`; query r and key c are counted inside the segment.
struct Problem {
  const AttentionParams& p;
  const Segment& segment;
  i64 index, head;

  i64 queries() const { return segment.q_count; }
  i64 keys() const { return segment.k_count; }
  i64 group() const { return p.heads / p.kv_heads; }
  i64 query(i64 r, i64 stride) const { return (segment.q_begin + r) * stride + head * p.head_dim; }
  i64 key(i64 c, i64 stride) const {
    return (segment.k_begin + c) * stride + head / group() * p.head_dim;
  }

  bool sees(i64 r, i64 c) const {
    const i64 position = r + keys() - queries();
    return (!p.causal || c <= position) && (p.window == 0 || position - c < p.window);
  }

  /// What dropout multiplies a weight by: 0 or 1 / (1 - dropout).
  double keep(i64 r, i64 c) const {
    if (p.dropout == 0.0F) {
      return 1.0;
    }
    const PhiloxWords words =
        philox(p.dropout_key, static_cast<u64>(r) << 32 | static_cast<u64>(c / 4),
               static_cast<u64>(head) << 32 | static_cast<u64>(index));
    const bool dropped = words.word[c % 4] < static_cast<double>(p.dropout) * 0x1p32;
    return dropped ? 0.0 : 1.0 / (1.0 - static_cast<double>(p.dropout));
  }

  template <class A, class B>
  double dot(const A* a, const B* b) const {
    double sum = 0.0;
    for (i64 d = 0; d < p.head_dim; ++d) {
      sum += static_cast<double>(a[d]) * static_cast<double>(b[d]);
    }
    return sum;
  }

  /// tanh of the scaled score over the cap; with it both the capped score and its derivative.
  double squashed(double x) const { return std::tanh(x / static_cast<double>(p.softcap)); }
};

/// The scratch memory as doubles.
double* doubles(std::span<float> scratch) {
  const bool odd = reinterpret_cast<std::uintptr_t>(scratch.data()) % alignof(double) != 0;
  float* first = scratch.data() + (odd ? 1 : 0);
  return new (first) double[(scratch.size() - (odd ? 1 : 0)) / 2];
}

i64 largest(std::span<const Segment> segments) {
  i64 most = 0;
  for (const Segment& s : segments) {
    most = std::max(most, s.q_count * s.k_count);
  }
  return most;
}

/// P[r][c] = softmax of row r, without dropout; returns its log-sum-exp, +inf for a row that sees
/// nothing, whose weights are 0.
template <class T>
double softmax_row(const Problem& problem, const T* q, const T* k, i64 r, double* P) {
  const AttentionParams& p = problem.p;
  double top = -std::numeric_limits<double>::infinity();
  for (i64 c = 0; c < problem.keys(); ++c) {
    const double x = static_cast<double>(p.scale) *
                     problem.dot(q + problem.query(r, p.q_stride), k + problem.key(c, p.k_stride));
    P[c] = p.softcap > 0.0F ? static_cast<double>(p.softcap) * problem.squashed(x) : x;
    // Over what is seen alone: a hidden score that is far higher would make all weights 0.
    top = problem.sees(r, c) ? std::max(top, P[c]) : top;
  }
  if (top == -std::numeric_limits<double>::infinity()) {
    std::fill_n(P, problem.keys(), 0.0);
    return std::numeric_limits<double>::infinity();
  }
  double sum = 0.0;
  if (p.sinks != nullptr) {
    const auto sink = static_cast<double>(p.sinks[problem.head]);
    top = std::max(top, sink);
    sum = std::exp(sink - top);
  }
  for (i64 c = 0; c < problem.keys(); ++c) {
    P[c] = problem.sees(r, c) ? std::exp(P[c] - top) : 0.0;
    sum += P[c];
  }
  for (i64 c = 0; c < problem.keys() && sum > 0.0; ++c) {
    P[c] /= sum;
  }
  return sum > 0.0 ? top + std::log(sum) : std::numeric_limits<double>::infinity();
}

template <class T>
void forward(const Problem& problem, const AttentionForwardOf<T>& args, double* P) {
  const AttentionParams& p = problem.p;
  for (i64 r = 0; r < problem.queries(); ++r) {
    args.lse[problem.head * args.total_q + problem.segment.q_begin + r] =
        static_cast<T>(softmax_row(problem, args.q, args.k, r, P));
    for (i64 d = 0; d < p.head_dim; ++d) {
      double sum = 0.0;
      for (i64 c = 0; c < problem.keys(); ++c) {
        sum +=
            problem.keep(r, c) * P[c] * static_cast<double>(args.v[problem.key(c, p.v_stride) + d]);
      }
      args.o[problem.query(r, p.o_stride) + d] = static_cast<T>(sum);
    }
  }
}

/// With y the scores, w = P o Z the weights that met V:
///   dw = dO V^T,  dy = P o (Z o dw - rowsum(w o dw)),  dx = dy (1 - tanh^2) under a softcap,
///   dQ = scale dx K,  dK = scale dx^T Q,  dV = w^T dO
template <class T>
void backward(const Problem& problem, const AttentionBackwardOf<T>& args, double* P, double* dX) {
  const AttentionParams& p = problem.p;
  const i64 keys = problem.keys();
  for (i64 r = 0; r < problem.queries(); ++r) {
    double* weights = P + r * keys;
    double* dx = dX + r * keys;
    softmax_row(problem, args.q, args.k, r, weights);
    double delta = 0.0;
    for (i64 c = 0; c < keys; ++c) {
      dx[c] = problem.keep(r, c) * problem.dot(args.dO + problem.query(r, p.o_stride),
                                               args.v + problem.key(c, p.v_stride));
      delta += weights[c] * dx[c];
    }
    for (i64 c = 0; c < keys; ++c) {
      dx[c] = weights[c] * (dx[c] - delta) * static_cast<double>(p.scale);
      if (p.softcap > 0.0F) {
        const double t = problem.squashed(static_cast<double>(p.scale) *
                                          problem.dot(args.q + problem.query(r, p.q_stride),
                                                      args.k + problem.key(c, p.k_stride)));
        dx[c] *= 1.0 - t * t;
      }
      weights[c] *= problem.keep(r, c);
    }
  }
  for (i64 d = 0; d < p.head_dim; ++d) {
    for (i64 r = 0; r < problem.queries(); ++r) {
      double dq = 0.0;
      for (i64 c = 0; c < keys; ++c) {
        dq += dX[r * keys + c] * static_cast<double>(args.k[problem.key(c, p.k_stride) + d]);
      }
      args.dq[problem.query(r, p.q_stride) + d] = static_cast<T>(dq);
    }
    for (i64 c = 0; c < keys; ++c) {
      double dk = 0.0;
      double dv = 0.0;
      for (i64 r = 0; r < problem.queries(); ++r) {
        dk += dX[r * keys + c] * static_cast<double>(args.q[problem.query(r, p.q_stride) + d]);
        dv += P[r * keys + c] * static_cast<double>(args.dO[problem.query(r, p.o_stride) + d]);
      }
      // The first query head of a group overwrites, the others add.
      T& dk_sum = args.dk[problem.key(c, p.k_stride) + d];
      T& dv_sum = args.dv[problem.key(c, p.v_stride) + d];
      const bool first = problem.head % problem.group() == 0;
      dk_sum = static_cast<T>(dk) + (first ? T{0} : dk_sum);
      dv_sum = static_cast<T>(dv) + (first ? T{0} : dv_sum);
    }
  }
}

}  // namespace

i64 attention_scratch(std::span<const Segment> segments) {
  return i64{4} * largest(segments) + 1;  // two matrices of doubles, and a float to align them
}

template <class T>
void attention_forward(const AttentionParams& params, std::span<const Segment> segments,
                       const AttentionForwardOf<T>& args, std::span<float> scratch) {
  double* P = doubles(scratch);
  for (i64 s = 0; s < std::ssize(segments); ++s) {
    for (i64 h = 0; h < params.heads; ++h) {
      forward(Problem{params, segments[s], s, h}, args, P);
    }
  }
}

template <class T>
void attention_backward(const AttentionParams& params, std::span<const Segment> segments,
                        const AttentionBackwardOf<T>& args, std::span<float> scratch) {
  double* P = doubles(scratch);
  for (i64 s = 0; s < std::ssize(segments); ++s) {
    for (i64 h = 0; h < params.heads; ++h) {
      backward(Problem{params, segments[s], s, h}, args, P, P + largest(segments));
    }
  }
}

template void attention_forward(const AttentionParams&, std::span<const Segment>,
                                const AttentionForwardOf<float>&, std::span<float>);
template void attention_forward(const AttentionParams&, std::span<const Segment>,
                                const AttentionForwardOf<double>&, std::span<float>);
template void attention_backward(const AttentionParams&, std::span<const Segment>,
                                 const AttentionBackwardOf<float>&, std::span<float>);
template void attention_backward(const AttentionParams&, std::span<const Segment>,
                                 const AttentionBackwardOf<double>&, std::span<float>);

}  // namespace inlay::kernels::reference
