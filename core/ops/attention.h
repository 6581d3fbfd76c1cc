// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/kernels/attention.h"
#include "core/random.h"
#include "core/tensor/host_list.h"

namespace inlay {

using kernels::AttentionCompute;

enum class AttentionKind {
  kTiled,      // FlashAttention-2: memory linear in T
  kReference,  // every score materialised, in double: slow, for comparison
};

struct AttentionOptions {
  i64 heads = 1;
  i64 kv_heads = 1;
  i64 head_dim = 64;
  float scale = 1.0F;
  bool causal = true;
  i64 window = 0;        // keys a query sees, itself included; 0: all
  float softcap = 0.0F;  // 0: none
  float dropout = 0.0F;
  RandomKey dropout_key{0};
  Tensor sinks = {};  // [heads] f32, or undefined: see AttentionParams; gets its gradient
  AttentionKind kind = AttentionKind::kTiled;
  AttentionCompute compute = AttentionCompute::kF32;  // of the tiled form's products
  Keep keep = Keep::kExact;                           // of q, k, v and the result
};

/// softmax(mask(scale q k^T)) v for every head of every segment.
///   q [Nq, heads * head_dim]   k, v [Nk, kv_heads * head_dim]   returns [Nq, heads * head_dim]
/// Query head h reads key/value head h / (heads / kv_heads). Rows of q, k, v may be strided
/// (columns of one product). Saved for backward: q, k, v, the result, and one log-sum-exp a row and
/// head; never the scores. Rows outside every segment must not exist. FlashAttention-2, Dao 2023,
/// arXiv:2307.08691, Alg. 1 and 2.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Segments& segments,
                 const AttentionOptions& options);

}  // namespace inlay
