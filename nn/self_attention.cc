// SPDX-License-Identifier: Apache-2.0
#include "nn/self_attention.h"

#include <array>
#include <utility>

#include "core/autograd/graph.h"
#include "core/ops/shape.h"

namespace inlay {

Tensor attend(const SelfAttentionSizes& sizes, const Tensor& q, const Tensor& k, const Tensor& v,
              const Pass& pass) {
  AttentionOptions options;
  options.heads = sizes.heads;
  options.kv_heads = sizes.kv_heads;
  options.head_dim = sizes.head_dim;
  options.scale = sizes.scale;
  options.window = sizes.window;
  options.kind = pass.attention;
  options.compute = pass.compute == GemmCompute::kF32 ? kernels::AttentionCompute::kF32
                                                      : kernels::AttentionCompute::kBf16;
  if (pass.training && sizes.dropout > 0.0F) {
    options.dropout = sizes.dropout;
    options.dropout_key = pass.dropout.with("attention").with(static_cast<u64>(sizes.layer));
  }
  if (pass.cache != nullptr) {
    const KvCache::View seen = pass.cache->extend(sizes.layer, k, v, *pass.tokens);
    return attention(q, seen.k, seen.v, seen.segments, options);
  }
  return attention(q, k, v, pass.tokens->segments, options);
}

RotarySelfAttention::RotarySelfAttention(const SelfAttentionSizes& sizes, Parts parts)
    : sizes_(sizes), parts_(std::move(parts)) {}

Tensor RotarySelfAttention::forward_onto(const Tensor& residual, const Tensor& x,
                                         const Pass& pass) const {
  const std::vector<i32>& positions = pass.tokens->positions;
  const RopeTables& tables = parts_.rotary->tables(positions);
  std::vector<Tensor> qkv =
      forward_together({parts_.q_proj.get(), parts_.k_proj.get(), parts_.v_proj.get()}, x, pass);
  const Tensor q = rope(std::move(qkv[0]), sizes_.head_dim, positions, tables);
  const Tensor k = rope(std::move(qkv[1]), sizes_.head_dim, positions, tables);
  const Tensor v = std::move(qkv[2]);
  const Tensor o = attend(sizes_, q, k, v, pass);
  const Tensor y = inlay::forward_onto(residual, *parts_.o_proj, o, pass);
  if (pass.recompute == Recompute::kSelective) {
    // Both are held for other reasons; the product is the cheapest of the block.
    set_recipe(y, [this, pass, sr = save_exact(residual), so = save(o)] {
      return inlay::forward_onto(sr.get(), *parts_.o_proj, so.get(), pass);
    });
  }
  return y;
}

void RotarySelfAttention::visit(Visitor& visitor, const std::string& name) {
  visitor.linear(dotted(name, "q_proj"), parts_.q_proj);
  visitor.linear(dotted(name, "k_proj"), parts_.k_proj);
  visitor.linear(dotted(name, "v_proj"), parts_.v_proj);
  visitor.linear(dotted(name, "o_proj"), parts_.o_proj);
}

FusedSelfAttention::FusedSelfAttention(const SelfAttentionSizes& sizes,
                                       std::unique_ptr<LinearLike> c_attn,
                                       std::unique_ptr<LinearLike> c_proj)
    : sizes_(sizes), c_attn_(std::move(c_attn)), c_proj_(std::move(c_proj)) {}

Tensor FusedSelfAttention::forward(const Tensor& x, const Pass& pass) const {
  const i64 width = sizes_.heads * sizes_.head_dim;
  const std::array<i64, 3> thirds = {width, width, width};
  const std::vector<Tensor> qkv = split_columns(c_attn_->forward(x, pass), thirds);
  return c_proj_->forward(attend(sizes_, qkv[0], qkv[1], qkv[2], pass), pass);
}

void FusedSelfAttention::visit(Visitor& visitor, const std::string& name) {
  visitor.linear(dotted(name, "c_attn"), c_attn_);
  visitor.linear(dotted(name, "c_proj"), c_proj_);
}

}  // namespace inlay
