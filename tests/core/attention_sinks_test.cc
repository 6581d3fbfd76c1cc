// SPDX-License-Identifier: Apache-2.0

// Attention with sinks, against the same in double.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/ops/attention.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

struct SinkCase {
  i64 T, heads, kv_heads, head_dim, window;
};

// One causal sequence: p_j = exp(s_j - m) / (sum exp(s - m) + exp(sink - m)).
Array attended(const SinkCase& c, const std::vector<Array>& in) {
  const i64 D = c.head_dim, group = c.heads / c.kv_heads;
  Array o = zeros({c.T, c.heads * D});
  for (i64 h = 0; h < c.heads; ++h) {
    for (i64 r = 0; r < c.T; ++r) {
      const i64 first = c.window > 0 ? std::max<i64>(0, r - c.window + 1) : 0;
      std::vector<double> p(r + 1, 0.0);
      double sum = std::exp(in[3][h]);
      for (i64 j = first; j <= r; ++j) {
        double score = 0.0;
        for (i64 d = 0; d < D; ++d) {
          score += in[0][(r * c.heads + h) * D + d] * in[1][(j * c.kv_heads + h / group) * D + d];
        }
        p[j] = std::exp(score / std::sqrt(static_cast<double>(D)));
        sum += p[j];
      }
      for (i64 j = first; j <= r; ++j) {
        for (i64 d = 0; d < D; ++d) {
          o[(r * c.heads + h) * D + d] += p[j] / sum * in[2][(j * c.kv_heads + h / group) * D + d];
        }
      }
    }
  }
  return o;
}

TEST(AttentionSinks, MatchATwinInDoubleAndItsCentralDifferences) {
  for_each_isa([] {
    for (const SinkCase& c : {SinkCase{9, 4, 2, 4, 0}, SinkCase{21, 2, 1, 8, 5},
                              SinkCase{1, 3, 3, 6, 0}, SinkCase{33, 1, 1, 16, 0}}) {
      for (const AttentionKind kind : {AttentionKind::kTiled, AttentionKind::kReference}) {
        AttentionOptions options;
        options.heads = c.heads;
        options.kv_heads = c.kv_heads;
        options.head_dim = c.head_dim;
        options.scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim));
        options.window = c.window;
        options.kind = kind;
        const Segments segments = std::vector<Segment>{{0, c.T, 0, c.T}};
        gradcheck(
            "attention with sinks",
            {{c.T, c.heads * c.head_dim},
             {c.T, c.kv_heads * c.head_dim},
             {c.T, c.kv_heads * c.head_dim},
             {c.heads}},
            [&](const std::vector<Tensor>& in) {
              AttentionOptions own = options;
              own.sinks = in[3];
              return attention(in[0], in[1], in[2], segments, own);
            },
            [&](const std::vector<Array>& in) { return attended(c, in); }, {.tolerance = 1e-5});
      }
    }
  });
}

// A sink far below all scores is none, and one far above takes everything.
TEST(AttentionSinks, ReachFromNothingToAll) {
  Tensor q = Tensor::empty({5, 8}), k = Tensor::empty({5, 8}), v = Tensor::empty({5, 8});
  for (const Tensor& t : {q, k, v}) {
    fill_uniform(t.mutable_values(), RandomKey(1), -1.0F, 1.0F);
  }
  AttentionOptions options;
  options.head_dim = 8;
  const Segments segments = std::vector<Segment>{{0, 5, 0, 5}};
  const std::vector<float> plain = attention(q, k, v, segments, options).to_vector();
  options.sinks = Tensor::from({-200.0F}, {1});
  EXPECT_EQ(attention(q, k, v, segments, options).to_vector(), plain);
  options.sinks = Tensor::from({500.0F}, {1});
  for (const float value : attention(q, k, v, segments, options).to_vector()) {
    EXPECT_EQ(value, 0.0F);
  }
}

}  // namespace
}  // namespace inlay
