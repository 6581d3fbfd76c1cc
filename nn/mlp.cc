// SPDX-License-Identifier: Apache-2.0
#include "nn/mlp.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"
#include "core/ops/mlp.h"

namespace inlay {
namespace {

bool recomputes(const Pass& pass) {
  return pass.recompute == Recompute::kSelective;
}

// The layers as the parts of one operation, if in this pass they are projections; `up` may be null.
std::optional<MlpProjections> as_projections(const LinearLike& first, const LinearLike* up,
                                             const LinearLike& down, const Pass& pass) {
  std::optional<Projection> one = first.projection(pass);
  std::optional<Projection> two = up != nullptr ? up->projection(pass) : std::nullopt;
  std::optional<Projection> last = down.projection(pass);
  if (!one || !last || (up != nullptr && !two)) {
    return std::nullopt;
  }
  MlpProjections parts;
  parts.first = *std::move(one);
  parts.up = std::move(two);
  parts.down = *std::move(last);
  return parts;
}

}  // namespace

Tensor GatedMlp::forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  if (auto parts = as_projections(*gate_proj_, up_proj_.get(), *down_proj_, pass)) {
    parts->activation = activation_;
    const bool narrow = current_kernels().has_bf16_operands(pass.compute);
    return project_mlp(residual, x, *parts, pass.compute, narrow ? DType::kBf16 : DType::kF32,
                       recomputes(pass));
  }
  const auto widened = [this, pass](const Tensor& from) {
    return forward_together({gate_proj_.get(), up_proj_.get()}, from, pass);
  };
  std::vector<Tensor> both = widened(x);
  if (recomputes(pass)) {
    set_recipes(both, [widened, sx = save(x)] { return widened(sx.get()); });
  }
  const Tensor product = gated(activation_, both[0], both[1]);
  both.clear();  // the widest of the block: gone before the next product unless kept
  return inlay::forward_onto(residual, *down_proj_, product, pass);
}

Tensor PlainMlp::forward(const Tensor& x, const Pass& pass) const {
  if (auto parts = as_projections(*c_fc_, nullptr, *c_proj_, pass)) {
    parts->activation = activation_;
    return project_mlp({}, x, *parts, pass.compute, DType::kF32, recomputes(pass));
  }
  Tensor wide = c_fc_->forward(x, pass);
  if (recomputes(pass)) {
    set_recipe(wide, [this, pass, sx = save(x)] { return c_fc_->forward(sx.get(), pass); });
  }
  const Tensor active = activation(activation_, wide);
  wide = Tensor();
  return c_proj_->forward(active, pass);
}

}  // namespace inlay
