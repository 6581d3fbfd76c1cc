// SPDX-License-Identifier: Apache-2.0
#include "core/ops/norm_rope.h"

#include <utility>

#include "core/error.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// All that does not depend on how x is kept.
struct Parts {
  HeadNorm norm;
  std::optional<HeadTurn> turn;
  Tensor weight, mean, rstd;
  i64 width = 0;

  bool turns_first() const { return norm.after_rope && turn.has_value(); }
  i64 groups() const { return width / norm.group; }
  kernels::NormStatistics statistics() const {
    return {norm.centred ? mean.data<float>() : nullptr, rstd.data<float>()};
  }
  // For rows that lie as those of x.
  kernels::NormRopeArgs args(const Tensor& x) const {
    kernels::NormRopeArgs a;
    a.group = norm.group;
    a.centred = norm.centred;
    a.own_weights = weight.numel() != norm.group;
    a.eps = norm.eps;
    a.turns_first = norm.after_rope;
    if (turn) {
      a.rope = rope_args(turn->head_dim, turn->positions, turn->tables);
    } else {
      a.rope.head_dim = width;
    }
    a.rope.rows = x.dim(0);
    a.rope.heads = width / a.rope.head_dim;
    a.rope.x_stride = x.stride(0);
    a.rope.y_stride = width;
    return a;
  }
};

void check(const Tensor& x, const Parts& parts) {
  const i64 W = parts.width;
  const i64 group = parts.norm.group;
  const bool fits =
      x.rank() == 2 && W % group == 0 &&
      (!parts.turn || (W % parts.turn->head_dim == 0 && x.dim(0) == parts.turn->positions.size()));
  if (!fits) {
    throw ShapeError(str("norm_heads: x ", x.shape().to_string(), " for groups of ", group));
  }
  if (parts.weight.rank() != 1 || (parts.weight.dim(0) != group && parts.weight.dim(0) != W)) {
    throw ShapeError(str("norm_heads: weight: expected [", group, "] or [", W, "], found ",
                         parts.weight.shape().to_string()));
  }
  INLAY_ASSERT(x.stride(1) == 1);
}

Tensor again(const Parts& parts, const Tensor& read) {
  Tensor y = Tensor::empty(read.shape());
  on(y).norm_rope_again(parts.args(read), read.data<const float>(), parts.weight.in().data(),
                        parts.statistics(), y.data<float>());
  return y;
}

// The gradient of the norm's own result from that of the whole.
Tensor turned_back(const kernels::NormRopeArgs& args, Tensor dy) {
  const auto [values, result] = take(std::move(dy));
  kernels::RopeArgs back = args.rope;
  back.x_stride = back.y_stride;
  back.inverse = true;
  on(result).rope(back, values.data<const float>(), result.data<float>());
  return result;
}

Tensor weight_gradient(const Parts& parts, const Tensor& read, const Tensor& dy) {
  const Tensor sums = Tensor::empty({parts.width});
  on(sums).norm_rope_backward_weight(parts.args(read), read.in().data(), parts.statistics(),
                                     dy.in().data(), sums.out());
  if (parts.weight.numel() == parts.width) {
    return sums;
  }
  const Tensor shared = Tensor::empty({parts.norm.group});
  on(shared).column_sums(sums.in(), shared.out(), false);
  return shared;
}

Grads gradients(const Parts& parts, Tensor read, Tensor dy, Wants wants) {
  Grads grads(2);
  kernels::NormRopeArgs args = parts.args(read);
  if (wants[1]) {
    if (parts.turn && !parts.turns_first()) {
      dy = turned_back(args, std::move(dy));
      args.rope.positions = nullptr;
    }
    grads[1] = weight_gradient(parts, read.contiguous(), dy);
  }
  if (wants[0]) {
    // Last: dx may be written over dy, which dweight reads.
    const auto [values, dx] = take(std::move(dy));
    on(dx).norm_rope_backward(args, read.data<const float>(), parts.weight.in().data(),
                              parts.statistics(), values.data<const float>(), dx.data<float>());
    grads[0] = dx;
  }
  return grads;
}

}  // namespace

Tensor norm_heads(Tensor x, const Tensor& weight, const HeadNorm& norm,
                  const std::optional<HeadTurn>& turn, Keep keep) {
  Parts parts{norm, turn, weight.detach(), {}, {}, x.dim(-1)};
  check(x, parts);
  const Shape found = {parts.groups() * x.dim(0)};
  parts.rstd = Tensor::empty(found);
  if (norm.centred) {
    parts.mean = Tensor::empty(found);
  }
  const bool records = should_record({x, weight});
  Saved kept;
  Tensor turned;
  if (!parts.turns_first()) {
    kept = save(x, keep, records);  // before y may be written over x: as bf16 it lies elsewhere
  } else if (records) {
    turned = reuse_or_allocate(x);
  }
  Tensor y = turned.defined() ? Tensor::empty(x.shape()) : reuse_or_allocate(x);
  on(y).norm_rope(parts.args(x), x.data<const float>(), parts.weight.in().data(),
                  (turned.defined() ? turned : y).data<float>(), parts.statistics(),
                  y.data<float>());
  if (turned.defined()) {
    kept = save(as_kept(turned, keep), Keep::kExact);
    turned = Tensor();
  }
  if (!records) {
    return y;
  }
  const auto read = [kept] { return kept.get().to(DType::kF32); };
  y = record("norm_heads", y, {x, weight}, [parts, read](Tensor dy, Wants wants) -> Grads {
    return gradients(parts, read(), std::move(dy), wants);
  });
  set_recipe(y, [parts, read] { return again(parts, read()); });
  return y;
}

}  // namespace inlay
