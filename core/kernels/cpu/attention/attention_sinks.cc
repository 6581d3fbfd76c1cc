// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/attention/attention_sinks.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/attention.h"
#include "core/parallel.h"

// A sink needs no part in the tiles. With L the log-sum-exp of a row's other scores and s its sink,
//   O' = O exp(L - L')   L' = log(exp(L) + exp(s)) = L + log(1 + exp(s - L))
// and backward is the same with L' and O': the probabilities it rebuilds, exp(score - L'), are then
// those beside the sink, and the term rowsum(dO o O') is the sum over all of them, as the sink's
// own share meets a value of 0.
namespace inlay::kernels {
namespace {

// Rows of a head that a task takes.
constexpr i64 kSinkRows = 64;

template <class Body>
void each_sink_row(const AttentionParams& params, std::span<const Segment> segments, Body body) {
  for (const Segment& s : segments) {
    const i64 pieces = (s.q_count + kSinkRows - 1) / kSinkRows;
    parallel_for(params.heads * pieces, [&](i64 task) {
      const i64 head = task / pieces, first = task % pieces * kSinkRows;
      for (i64 r = first; r < std::min(s.q_count, first + kSinkRows); ++r) {
        body(head, s.q_begin + r);
      }
    });
  }
}

}  // namespace

void attention::add_sinks(const AttentionParams& params, std::span<const Segment> segments,
                          const AttentionForward& args) {
  each_sink_row(params, segments, [&](i64 head, i64 row) {
    float& lse = args.lse[head * args.total_q + row];
    const double over = static_cast<double>(params.sinks[head]) - static_cast<double>(lse);
    const auto share = static_cast<float>(1.0 / (1.0 + std::exp(over)));
    // log(1 + e^x), which for large x is x and no overflow.
    lse += static_cast<float>(over > 0.0 ? over + std::log1p(std::exp(-over))
                                         : std::log1p(std::exp(over)));
    float* o = args.o + row * params.o_stride + head * params.head_dim;
    for (i64 d = 0; d < params.head_dim; ++d) {
      o[d] *= share;
    }
  });
}

void attention_sinks_backward(const AttentionParams& params, std::span<const Segment> segments,
                              const AttentionBackward& args, std::span<float> dsinks) {
  parallel_for(params.heads, [&](i64 head) {
    double sum = 0.0;
    for (const Segment& s : segments) {
      for (i64 row = s.q_begin; row < s.q_begin + s.q_count; ++row) {
        const i64 at = row * params.o_stride + head * params.head_dim;
        double dot = 0.0;
        for (i64 d = 0; d < params.head_dim; ++d) {
          dot += static_cast<double>(args.o[at + d]) * static_cast<double>(args.dO[at + d]);
        }
        sum -= dot * std::exp(static_cast<double>(params.sinks[head]) -
                              static_cast<double>(args.lse[head * args.total_q + row]));
      }
    }
    dsinks[head] = static_cast<float>(sum);
  });
}

}  // namespace inlay::kernels
