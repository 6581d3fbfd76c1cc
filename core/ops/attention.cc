// SPDX-License-Identifier: Apache-2.0
#include "core/ops/attention.h"

#include <memory>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

using kernels::AttentionParams;

AttentionParams params_of(const AttentionOptions& options, const Tensor& q, const Tensor& k,
                          const Tensor& v) {
  AttentionParams p;
  p.heads = options.heads;
  p.kv_heads = options.kv_heads;
  p.head_dim = options.head_dim;
  p.q_stride = q.stride(0);
  p.k_stride = k.stride(0);
  p.v_stride = v.stride(0);
  p.o_stride = options.heads * options.head_dim;
  p.scale = options.scale;
  p.causal = options.causal;
  p.window = options.window;
  p.softcap = options.softcap;
  p.dropout = options.dropout;
  p.dropout_key = options.dropout_key.value();
  p.compute = options.compute;
  p.sinks = options.sinks.defined() ? options.sinks.data<const float>() : nullptr;
  return p;
}

Tensor scratch_floats(i64 count) {
  const MemoryScope scope(MemoryClass::kScratch);
  return Tensor::empty({count});
}

void check_input(const char* what, const Tensor& t, i64 heads, i64 head_dim) {
  if (t.rank() != 2 || t.dim(1) != heads * head_dim || t.stride(1) != 1) {
    throw ShapeError(str("attention: ", what, " ", t.shape().to_string(), " for ", heads,
                         " heads of ", head_dim));
  }
}

void forward(AttentionKind kind, const AttentionParams& p, const Segments& segments,
             const kernels::AttentionForward& args) {
  const Kernels& k = current_kernels();
  if (kind == AttentionKind::kReference) {
    const Tensor scratch = scratch_floats(k.reference_attention_scratch(segments.host()));
    k.reference_attention_forward(p, segments.device(), args, scratch.out());
  } else {
    const Tensor scratch = scratch_floats(k.attention_forward_scratch(p, segments.host()));
    k.attention_forward(p, segments.device(), args, scratch.out());
  }
}

void backward(AttentionKind kind, const AttentionParams& p, const Segments& segments,
              const kernels::AttentionBackward& args) {
  const Kernels& k = current_kernels();
  if (kind == AttentionKind::kReference) {
    const Tensor scratch = scratch_floats(k.reference_attention_scratch(segments.host()));
    k.reference_attention_backward(p, segments.device(), args, scratch.out());
  } else {
    const Tensor scratch = scratch_floats(k.attention_backward_scratch(p, segments.host()));
    k.attention_backward(p, segments.device(), args, scratch.out());
  }
}

// Whether every query and every key belongs to a segment; segments do not overlap.
bool covers(std::span<const Segment> segments, i64 queries, i64 keys) {
  for (const Segment& s : segments) {
    queries -= s.q_count;
    keys -= s.k_count;
  }
  return queries == 0 && keys == 0;
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Segments& segments,
                 const AttentionOptions& options) {
  INLAY_ASSERT(options.kv_heads > 0 && options.heads % options.kv_heads == 0);
  check_input("q", q, options.heads, options.head_dim);
  check_input("k", k, options.kv_heads, options.head_dim);
  check_input("v", v, options.kv_heads, options.head_dim);
  if (options.sinks.defined()) {
    check_shape("attention: sinks", options.sinks, {options.heads});
  }
  const i64 N = q.dim(0);
  Tensor o = Tensor::empty({N, q.dim(1)});
  const Tensor lse = Tensor::empty({options.heads, N});
  forward(options.kind, params_of(options, q, k, v), segments,
          {q.data<const float>(), k.data<const float>(), v.data<const float>(), o.data<float>(),
           lse.data<float>(), N});
  const auto so = std::make_shared<Saved>();
  o = record("attention", o, {q, k, v, options.sinks},
             [sq = save(q, options.keep), sk = save(k, options.keep), sv = save(v, options.keep),
              so, lse, options, where = segments](const Tensor& dy, Wants wants) -> Grads {
               const Tensor Q = sq.get();
               const Tensor K = sk.get();
               const Tensor V = sv.get();
               // The gradients take the strides of their tensors, so a view into a fused product
               // gets a buffer of that width. What belongs to no segment is 0.
               const bool all = covers(where.host(), Q.dim(0), K.dim(0));
               const auto strided = [all](const Tensor& t) {
                 const Shape shape = {t.dim(0), t.stride(0)};
                 return (all ? Tensor::empty(shape) : Tensor::zeros(shape)).slice(1, 0, t.dim(1));
               };
               Tensor dq = strided(Q);
               Tensor dk = strided(K);
               Tensor dv = strided(V);
               const AttentionParams p = params_of(options, Q, K, V);
               const Tensor O = so->get();
               const kernels::AttentionBackward args = {
                   Q.data<const float>(),   K.data<const float>(),
                   V.data<const float>(),   O.data<const float>(),
                   lse.data<const float>(), dy.data<const float>(),
                   dq.data<float>(),        dk.data<float>(),
                   dv.data<float>(),        Q.dim(0)};
               backward(options.kind, p, where, args);
               Tensor dsinks;
               if (wants[3]) {
                 dsinks = Tensor::empty({options.heads});
                 on(dy).attention_sinks_backward(p, where.device(), args, dsinks.out());
               }
               return {dq, dk, dv, dsinks};
             });
  // Once o is recorded, so that its readers share a rounded copy.
  *so = save(o, options.keep, o.requires_grad());
  return o;
}

}  // namespace inlay
