// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection.h"

#include <memory>
#include <utility>

#include "core/ops/product.h"
#include "core/ops/projection_group.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// The inputs of the recorded operation: x, the addend (or an undefined one), then the parts'.
constexpr int kFirstPart = 2;

std::vector<Tensor> run_group(const Tensor& addend, const Tensor& x,
                              std::span<const Projection> projections, GemmCompute compute,
                              DType result) {
  const auto group = std::make_shared<const ProjectionGroup>(x.shape(), projections, compute);
  const Tensor input = dense(x);
  const Tensor residual = addend.defined() ? dense(addend) : Tensor();
  const Tensor t = group->low_rank(input);
  std::vector<Tensor> ys;
  for (const Projection& p : group->parts()) {
    ys.push_back(Tensor::empty(x.shape().with(-1, p.out()), result));
  }
  const auto trail = std::make_shared<SavedTrail>(run_projections(*group, input, t, residual, ys));
  std::vector<Tensor> inputs = {input, residual};
  group->append_inputs(inputs);
  const GroupSaves saved = {save(input, group->trains_a()), save(t, group->trains_b()), x.shape(),
                            x.dtype()};
  return record_many("project", std::move(ys), inputs,
                     [group, saved, trail](std::span<Tensor> dys, Wants wants) {
                       Grads grads(kFirstPart + group->input_count());
                       if (wants[1]) {
                         grads[1] = dys[0];
                       }
                       group_gradients(*group, saved, trail->take(), dys, wants, kFirstPart, grads);
                       return grads;
                     });
}

}  // namespace

std::vector<Tensor> project(const Tensor& x, std::span<const Projection> projections,
                            GemmCompute compute, DType result) {
  return run_group({}, x, projections, compute, result);
}

Tensor project_onto(const Tensor& addend, const Tensor& x, const Projection& projection,
                    GemmCompute compute) {
  return run_group(addend, x, {&projection, 1}, compute, DType::kF32)[0];
}

}  // namespace inlay
