// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/product.h"
#include "core/ops/projection_group.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// The inputs of the recorded operation: x, the addend (or an undefined one), then the parts'.
constexpr int kFirstPart = 2;

std::vector<Tensor> run_group(const Tensor& addend, const Tensor& x,
                              std::span<const Projection> projections, GemmCompute compute,
                              DType result, Keep keep) {
  const auto group = std::make_shared<const ProjectionGroup>(x.shape(), projections, compute);
  const Tensor input = contiguous(x);
  const Tensor residual = addend.defined() ? contiguous(addend) : Tensor();
  const Tensor t = group->low_rank(input);
  std::vector<Tensor> ys;
  for (const Projection& p : group->parts()) {
    ys.push_back(Tensor::empty(x.shape().with(-1, p.out()), result));
  }
  ProjectionRun run;
  if (grad_enabled()) {
    run.sums = sums_type(result, keep);
  }
  const auto state =
      std::make_shared<SavedProjectionState>(run_projections(*group, input, t, residual, ys, run));
  std::vector<Tensor> inputs = {input, residual};
  group->append_inputs(inputs);
  const GroupSaves saved = {save(input, keep, group->trains_a()),
                            save(t, Keep::kExact, group->trains_b()), x.shape(), x.dtype()};
  return record_many("project", std::move(ys), inputs,
                     [group, saved, state](std::span<Tensor> dys, Wants wants) {
                       Grads grads(kFirstPart + group->input_count());
                       if (wants[1]) {
                         grads[1] = dys[0];
                       }
                       ProjectionState made = state->take();
                       const std::vector<Tensor> dzs =
                           sum_gradients(*group, dys, made.sums, wants, kFirstPart, grads);
                       made.sums.clear();
                       group_gradients(*group, saved, made.kept, dzs, wants, kFirstPart, grads);
                       return grads;
                     });
}

// What the projection's products read.
Tensor scaled_input(const Tensor& x, const Projection& p, Keep keep) {
  if (!p.input_scale.defined()) {
    return x;
  }
  check_shape("project: input_scale", p.input_scale, {p.in()});
  return scale_columns(x, p.input_scale, keep);
}

}  // namespace

i64 Projection::in() const {
  if (!has_weight()) {
    return updates.at(0).a.dim(1);
  }
  return layout == WeightLayout::kOutIn ? weight.cols() : weight.rows();
}

i64 Projection::out() const {
  if (!has_weight()) {
    return updates.at(0).b.dim(0);
  }
  return layout == WeightLayout::kOutIn ? weight.rows() : weight.cols();
}

std::vector<Tensor> project(const Tensor& x, std::span<const Projection> projections,
                            GemmCompute compute, DType result, Keep keep) {
  const auto shares_x = [](const Projection& p) { return !p.input_scale.defined(); };
  if (std::ranges::all_of(projections, shares_x)) {
    return run_group({}, x, projections, compute, result, keep);
  }
  std::vector<Tensor> ys;
  for (const Projection& p : projections) {
    ys.push_back(run_group({}, scaled_input(x, p, keep), {&p, 1}, compute, result, keep)[0]);
  }
  return ys;
}

Tensor project_onto(const Tensor& addend, const Tensor& x, const Projection& projection,
                    GemmCompute compute, Keep keep) {
  return run_group(addend, scaled_input(x, projection, keep), {&projection, 1}, compute,
                   DType::kF32, keep)[0];
}

}  // namespace inlay
