// SPDX-License-Identifier: Apache-2.0
#include "core/ops/experts.h"

#include <memory>
#include <utility>

#include "core/error.h"
#include "core/ops/expert_group.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// The inputs of the recorded operation: x, the residual (or an undefined one), the weights of the
// choice, then what belongs to the two groups.
constexpr int kX = 0, kResidual = 1, kWeights = 2, kFirstWide = 3;

/// One pass of the blocks over some rows.
struct ExpertsOp {
  Routing routing;  // its weights detached
  ExpertGroup wide, down;
  kernels::ExpertGate gate;
  Shape shape;  // of x

  i64 width() const { return down.in(); }  // I
  int first_down() const { return kFirstWide + wide.input_count(); }
  std::span<const i32> pair() const { return routing.pair.span<const i32>(); }

  // The rows of x [N, C] in the order of the experts.
  Tensor sorted(const Tensor& x) const {
    Tensor rows = Tensor::empty({routing.pairs(), x.dim(1)});
    on(x).gather_rows(x.in(), x.dim(1), routing.source.span<const i32>(), rows.out());
    return rows;
  }
  Tensor gate_up(const Tensor& rows, std::span<const Tensor> t) const {
    Tensor values = Tensor::empty({routing.pairs(), wide.out()});
    wide.forward(rows, t, values);
    return values;
  }
  Tensor gated(const Tensor& values) const {
    Tensor h = Tensor::empty({routing.pairs(), width()});
    on(values).expert_gate(gate, values.in(), width(), h.out());
    return h;
  }
  // sum of weights * z, or of z alone, onto the residual.
  Tensor combined(const Tensor& z, bool weighted, const Tensor& residual) const {
    Tensor y = Tensor::empty(shape);
    on(z).combine_rows(z.in(), z.dim(1), routing.chosen, routing.place.span<const i32>(),
                       weighted ? routing.weights.in() : std::span<const float>(),
                       residual.defined() ? residual.in() : std::span<const float>(), y.out());
    return y;
  }
  void weigh(const Tensor& rows) const {
    on(rows).weigh_rows({}, rows.out(), rows.dim(1), pair(), routing.weights.in(), {}, false);
  }
  // dw_r = h_r . dh'_r, and dh_r = w_r dh'_r over dh'.
  Tensor weight_gradients(const Tensor& h, const Tensor& dh) const {
    Tensor sums = Tensor::empty(routing.weights.shape());
    on(h).weigh_rows(h.in(), dh.out(), width(), pair(), routing.weights.in(), sums.out(), false);
    return sums;
  }
};

struct ExpertSaves {
  Saved x, values;
  std::vector<Saved> t_wide, t_down;
};

std::vector<Saved> save_all(std::span<const Tensor> ts, bool needed) {
  std::vector<Saved> saved;
  for (const Tensor& t : ts) {
    saved.push_back(save(t, Keep::kExact, needed));
  }
  return saved;
}

std::vector<Tensor> values_of(std::span<const Saved> saved) {
  std::vector<Tensor> values;
  for (const Saved& s : saved) {
    values.push_back(s.get());
  }
  return values;
}

bool any_wanted(Wants wants, int begin, int end) {
  for (int i = begin; i < end; ++i) {
    if (wants[i]) {
      return true;
    }
  }
  return false;
}

// The gradient of the block's wide values h came from, and on the way those of what belongs to
// `down` and of the weights of the choice; undefined where nothing before h is wanted.
Tensor down_gradients(const ExpertsOp& op, const ExpertSaves& saved, const Tensor& values,
                      const Tensor& dy, Wants wants, bool wide_wanted, Grads& grads) {
  const int first = op.first_down(), end = first + op.down.input_count();
  const bool down_wanted = any_wanted(wants, first, end);
  const Tensor rows = op.sorted(dy);
  std::vector<Tensor> u = op.down.to_updates(rows);
  const Tensor h = wants[kWeights] || down_wanted ? op.gated(values) : Tensor();
  Tensor dh;
  if (wide_wanted || wants[kWeights]) {
    dh = Tensor::empty({op.routing.pairs(), op.width()});
    op.down.to_input(rows, u, dh);
    if (wants[kWeights]) {
      grads[kWeights] = op.weight_gradients(h, dh);
      if (op.down.has_bias()) {
        op.down.add_bias_dots(rows, grads[kWeights]);
      }
    } else {
      op.weigh(dh);
    }
  }
  if (down_wanted) {
    op.weigh(rows);
    for (const Tensor& each : u) {
      op.weigh(each);
    }
    op.down.gradients(h, values_of(saved.t_down), rows, u, wants, first, grads);
  }
  return dh;
}

Grads gradients(const ExpertsOp& op, ExpertSaves& saved, std::span<Tensor> dys, Wants wants) {
  const int first_down = op.first_down();
  Grads grads(first_down + op.down.input_count());
  if (wants[kResidual]) {
    grads[kResidual] = dys[0];
  }
  const bool parts_wanted = any_wanted(wants, kFirstWide, first_down);
  const bool wide_wanted = wants[kX] || parts_wanted;
  const Tensor x = saved.x.get();
  const Tensor rows = x.defined() ? op.sorted(x) : Tensor();
  Tensor values = saved.values.take();
  if (!values.defined()) {
    values = op.gate_up(rows, op.wide.low_rank(rows));
  }
  values = values.to(DType::kF32);
  const Tensor dh = down_gradients(op, saved, values, dys[0], wants, wide_wanted, grads);
  if (!wide_wanted) {
    return grads;
  }
  const Tensor dvalues = reuse_or_allocate(values);
  on(dh).expert_gate_backward(op.gate, values.in(), dh.in(), op.width(), dvalues.out(), {});
  const std::vector<Tensor> u = op.wide.to_updates(dvalues);
  if (wants[kX]) {
    Tensor drows = Tensor::empty({op.routing.pairs(), op.wide.in()});
    op.wide.to_input(dvalues, u, drows);
    grads[kX] = op.combined(drows, false, {});
  }
  if (parts_wanted) {
    op.wide.gradients(rows, values_of(saved.t_wide), dvalues, u, wants, kFirstWide, grads);
  }
  return grads;
}

}  // namespace

Tensor expert_mlp(const Tensor& residual, const Tensor& x, const Routing& routing,
                  const ExpertMlp& experts, GemmCompute compute, MlpKeep keep) {
  if (x.rank() != 2 || x.dim(0) != routing.rows() || x.dim(1) != experts.wide.in()) {
    throw ShapeError(str("experts: x ", x.shape().to_string(), " for ", routing.rows(), " rows of ",
                         experts.wide.in()));
  }
  INLAY_ASSERT(experts.experts == routing.experts && experts.wide.out() == 2 * experts.down.in());
  Routing lists = routing;
  lists.weights = routing.weights.detach();
  const auto op = std::make_shared<const ExpertsOp>(
      ExpertsOp{lists, ExpertGroup(experts.wide, lists, compute),
                ExpertGroup(experts.down, lists, compute), experts.gate, x.shape()});
  const Tensor input = contiguous(x);
  const Tensor addend = residual.defined() ? contiguous(residual) : Tensor();
  std::vector<Tensor> inputs = {input, addend, routing.weights};
  op->wide.append_inputs(inputs);
  op->down.append_inputs(inputs);

  const Tensor rows = op->sorted(input);
  const std::vector<Tensor> t_wide = op->wide.low_rank(rows);
  Tensor values = op->gate_up(rows, t_wide);
  Tensor h = op->gated(values);
  const bool again = keep.wide == Keep::kRecipe;
  const auto saved = std::make_shared<ExpertSaves>();
  saved->x = save(input, keep.values, again || op->wide.trains_a() || op->wide.trains_weights());
  saved->values = save(as_kept(values, keep.wide), Keep::kExact, !again);
  saved->t_wide = save_all(t_wide, op->wide.trains_b());
  values = Tensor();  // the widest of the block: gone before the next product unless kept
  const std::vector<Tensor> t_down = op->down.low_rank(h);
  saved->t_down = save_all(t_down, op->down.trains_b());
  Tensor z = Tensor::empty({op->routing.pairs(), op->down.out()});
  op->down.forward(h, t_down, z);
  h = Tensor();
  Tensor y = op->combined(z, true, addend);
  return record_many("experts", {std::move(y)}, inputs,
                     [op, saved](std::span<Tensor> dys, Wants wants) {
                       return gradients(*op, *saved, dys, wants);
                     })[0];
}

}  // namespace inlay
