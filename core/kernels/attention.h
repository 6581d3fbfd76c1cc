// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/segments.h"
#include "core/types.h"

namespace inlay::kernels {

/// What the products multiply. All tensors are f32, and so are sums and softmax.
enum class AttentionCompute {
  kF32,
  /// q, k, v, dO, the weights and their gradients rounded to bf16 where they are multiplied, by the
  /// processor's own dot products where it has them. A decoder's segment (at most 16 query rows a
  /// KV head, or few beside thousands of keys) is computed in f32.
  kBf16,
};

/// Row t, head h of a tensor starts at data + t * stride + h * head_dim, so q, k and v may share
/// one buffer. Query head h reads key/value head h / (heads / kv_heads).
struct AttentionParams {
  i64 heads = 1, kv_heads = 1, head_dim = 64;
  i64 q_stride = 0, k_stride = 0, v_stride = 0, o_stride = 0;
  float scale = 1.0F;    // of the scores, usually head_dim^-1/2
  bool causal = true;    // key c is seen by query r iff c <= r + (k_count - q_count)
  i64 window = 0;        // > 0: and r + (k_count - q_count) - c < window
  float softcap = 0.0F;  // > 0: scores y become softcap * tanh(y / softcap)
  /// Probability that a weight is dropped; the kept ones are scaled by 1 / (1 - dropout).
  float dropout = 0.0F;
  /// RandomKey::value(). The weight of segment s, head h, query r and key c, r and c counted inside
  /// the segment, is dropped iff
  ///   word c % 4 of philox(key, r << 32 | c / 4, h << 32 | s) < dropout * 2^32
  u64 dropout_key = 0;
  AttentionCompute compute = AttentionCompute::kF32;
  /// [heads], or null: one more score of every row of a head, whose weight meets no value (gpt-oss;
  /// Xiao et al. 2024, arXiv:2309.17453). A row's lse has it among its scores.
  const float* sinks = nullptr;
};

/// T is the type of all that is read and written: float, or double for the reference form.
template <class T>
struct AttentionForwardOf {
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;
  T* o = nullptr;  // [rows of q, heads * head_dim], row stride o_stride
  /// [heads, total_q]: natural log-sum-exp of each row's scores; +inf for a row that sees nothing.
  T* lse = nullptr;
  i64 total_q = 0;
};

template <class T>
struct AttentionBackwardOf {
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;
  const T* o = nullptr;
  const T* lse = nullptr;
  const T* dO = nullptr;  // as o
  T* dq = nullptr;        // as q, k, v with the same strides; overwritten
  T* dk = nullptr;
  T* dv = nullptr;
  i64 total_q = 0;
};

using AttentionForward = AttentionForwardOf<float>;
using AttentionBackward = AttentionBackwardOf<float>;

/// Floats of scratch the two functions need.
i64 attention_forward_scratch(const AttentionParams& params, std::span<const Segment> segments);
i64 attention_backward_scratch(const AttentionParams& params, std::span<const Segment> segments);

/// FlashAttention-2 (Dao 2023, arXiv:2307.08691), Alg. 1: O = softmax(mask(scale Q K^T)) V, tile by
/// tile, with a running softmax; only O and one log-sum-exp a row leave it. Rows that see no key
/// are 0. Same bits at any thread count; a segment gives the same bits alone and in a packed batch
/// (without dropout).
void attention_forward(const AttentionParams& params, std::span<const Segment> segments,
                       const AttentionForward& args, std::span<float> scratch);

/// Alg. 2: rebuilds the probabilities from Q, K and lse, tile by tile. Gradients of rows outside
/// every segment are left untouched.
void attention_backward(const AttentionParams& params, std::span<const Segment> segments,
                        const AttentionBackward& args, std::span<float> scratch);

/// dsinks[h] = - the sum over the rows of exp(sinks[h] - lse) (dO . O), of rows inside segments:
/// d loss / d sink, as the sink takes from all weights of its row. Of any form of attention.
void attention_sinks_backward(const AttentionParams& params, std::span<const Segment> segments,
                              const AttentionBackward& args, std::span<float> dsinks);

namespace reference {

/// The naive form: every weight of one head of one segment at a time, kept in double in the scratch
/// memory, which so grows with q_count * k_count. The tests' oracle, and `attn_implementation:
/// reference`. T is float or double. Backward reads neither o nor lse: it starts from q and k anew.
i64 attention_scratch(std::span<const Segment> segments);
template <class T>
void attention_forward(const AttentionParams& params, std::span<const Segment> segments,
                       const AttentionForwardOf<T>& args, std::span<float> scratch);
template <class T>
void attention_backward(const AttentionParams& params, std::span<const Segment> segments,
                        const AttentionBackwardOf<T>& args, std::span<float> scratch);

}  // namespace reference
}  // namespace inlay::kernels
