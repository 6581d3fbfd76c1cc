// SPDX-License-Identifier: Apache-2.0
#include "core/ops/mlp.h"

#include <algorithm>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/ops/product.h"
#include "core/ops/projection_group.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// The inputs of the recorded operation: x, the residual (or an undefined one), then those of the
// wide parts and of `down`.
constexpr int kFirstWidePart = 2;

class MlpOp {
 public:
  MlpOp(const Tensor& x, const MlpProjections& parts, GemmCompute compute, DType wide)
      : activation_(parts.activation),
        dtype_(wide),
        wide_(x.shape(), wide_parts(parts), compute),
        shape_(x.shape().with(-1, parts.first.out())),
        down_(shape_, {&parts.down, 1}, compute) {
    if (parts.up && parts.up->out() != parts.first.out()) {
      throw ShapeError(str("project_mlp: the gate has ", parts.first.out(),
                           " values a row, up has ", parts.up->out()));
    }
  }

  const ProjectionGroup& wide() const { return wide_; }
  const ProjectionGroup& down() const { return down_; }
  bool gated() const { return wide_.parts().size() > 1; }
  int down_inputs() const {
    return kFirstWidePart + kPartInputs * static_cast<int>(wide_.parts().size());
  }

  // first(x) and up(x), and t on the way.
  std::vector<Tensor> widen(const Tensor& x, const Tensor& t) const {
    std::vector<Tensor> values;
    for (std::size_t i = 0; i < wide_.parts().size(); ++i) {
      values.push_back(Tensor::empty(shape_, dtype_));
    }
    const ProductList list = projection_products(wide_, x, t, {}, values);
    run_low_rank(list.inner, list.outer);
    return values;
  }

  // h
  Tensor activate(std::span<const Tensor> values) const {
    Tensor h = Tensor::empty(shape_, dtype_);
    if (!gated()) {
      kernels::activation(activation_, values[0].values(), h.mutable_values());
    } else if (dtype_ == DType::kBf16) {
      kernels::gated(activation_, values[0].span<const u16>(), values[1].span<const u16>(),
                     h.span<u16>());
    } else {
      kernels::gated(activation_, values[0].values(), values[1].values(), h.mutable_values());
    }
    return h;
  }

  Tensor narrow(const Tensor& h, const Tensor& t, const Tensor& residual) const {
    Tensor y = Tensor::empty(shape_.with(-1, down_.parts()[0].out()));
    const ProductList list = projection_products(down_, h, t, residual, {&y, 1});
    run_low_rank(list.inner, list.outer);
    return y;
  }

  // dh, and u on the way.
  Tensor down_gradient(const Tensor& dy, const Tensor& u) const {
    Tensor dh = Tensor::empty(shape_, dtype_);
    const ProductList list = input_gradient_products(down_, {&dy, 1}, u, dh);
    run_low_rank(list.inner, list.outer);
    return dh;
  }

  // The gradients of first(x) and up(x), over `values` if they are no one else's; and h over dh
  // where `wants_h`.
  std::vector<Tensor> gate_gradients(const Tensor& dh, std::span<const Tensor> values,
                                     bool wants_h) const {
    std::vector<Tensor> grads;
    for (const Tensor& value : values) {
      grads.push_back(result_over(value));
    }
    if (dtype_ == DType::kBf16) {
      gate_gradients<u16>(dh, values, grads, wants_h);
    } else {
      gate_gradients<float>(dh, values, grads, wants_h);
    }
    return grads;
  }

 private:
  static std::vector<Projection> wide_parts(const MlpProjections& parts) {
    std::vector<Projection> wide = {parts.first};
    if (parts.up) {
      wide.push_back(*parts.up);
    }
    return wide;
  }

  template <class Value>
  void gate_gradients(const Tensor& dh, std::span<const Tensor> values,
                      std::span<const Tensor> grads, bool wants_h) const {
    const std::span<Value> h = wants_h ? dh.span<Value>() : std::span<Value>();
    if (gated()) {
      kernels::gated_backward(activation_, values[0].span<const Value>(),
                              values[1].span<const Value>(), dh.span<const Value>(),
                              grads[0].span<Value>(), grads[1].span<Value>(), h);
    } else if constexpr (std::is_same_v<Value, float>) {
      kernels::activation_backward(activation_, values[0].values(), dh.values(),
                                   grads[0].mutable_values(), h);
    }
  }

  kernels::Activation activation_;
  DType dtype_;  // of the wide values; of a single one f32
  ProjectionGroup wide_;
  Shape shape_;  // of the wide values
  ProjectionGroup down_;
};

// What is held for backward.
struct MlpSaves {
  GroupSaves wide;
  std::vector<Saved> values;  // first(x) and up(x), where they are not made again
  Saved h;                    // where nothing before it is trained
  Saved t_down;
};

// first(x) and up(x): held no more by `saved`, or made again.
std::vector<Tensor> wide_values(const MlpOp& op, MlpSaves& saved) {
  if (saved.values.empty()) {
    const Tensor x = saved.wide.x.get();
    return op.widen(x, op.wide().low_rank(x));
  }
  std::vector<Tensor> values;
  for (Saved& value : saved.values) {
    values.push_back(value.take());
  }
  return values;
}

Grads gradients(const MlpOp& op, MlpSaves saved, const Tensor& dy, Wants wants) {
  const int down_inputs = op.down_inputs();
  Grads grads(down_inputs + kPartInputs);
  grads[1] = dy;
  bool wide_wanted = wants[0];
  for (int i = kFirstWidePart; i < down_inputs; ++i) {
    wide_wanted = wide_wanted || wants[i];
  }
  const bool a_wanted = wants_a(op.down(), wants, down_inputs);
  const bool u_wanted = op.down().ranks() > 0 && (wide_wanted || a_wanted);
  Tensor u = u_wanted ? inner_gradient(op.down(), {&dy, 1}, rows_of(dy)) : Tensor();
  Tensor h = saved.h.get();
  std::vector<Tensor> dwide;
  if (wide_wanted) {
    h = op.down_gradient(dy, u);  // to become h
    dwide = op.gate_gradients(h, wide_values(op, saved), a_wanted);
  } else if (u_wanted) {
    run_products(inner_gradient_products(op.down(), {&dy, 1}, u));
  }
  part_gradients(op.down(), h, saved.t_down.get(), {&dy, 1}, u, wants, down_inputs, grads);
  u = Tensor();
  h = Tensor();
  if (wide_wanted) {
    group_gradients(op.wide(), saved.wide, dwide, wants, kFirstWidePart, grads);
  }
  return grads;
}

bool any_wants_grad(const Tensor& x, const ProjectionGroup& group) {
  std::vector<Tensor> inputs = {x};
  append_inputs(group, inputs);
  return grad_enabled() && std::ranges::any_of(inputs, [](const Tensor& t) {
           return t.defined() && t.requires_grad();
         });
}

}  // namespace

Tensor project_mlp(const Tensor& residual, const Tensor& x, const MlpProjections& parts,
                   GemmCompute compute, DType wide, bool recompute) {
  const auto op = std::make_shared<const MlpOp>(x, parts, compute, wide);
  const Tensor input = dense(x);
  const Tensor addend = residual.defined() ? dense(residual) : Tensor();
  const bool wide_wanted = any_wants_grad(input, op->wide());

  const Tensor t = op->wide().low_rank(input);
  std::vector<Tensor> values = op->widen(input, t);
  Tensor h = op->activate(values);
  const auto saved = std::make_shared<MlpSaves>();
  saved->wide = {save(input, op->wide().trains_a() || (wide_wanted && recompute)),
                 save(t, op->wide().trains_b()), x.shape(), x.dtype()};
  for (const Tensor& value : values) {
    if (wide_wanted && !recompute) {
      saved->values.push_back(save_inner(value));
    }
  }
  values.clear();  // the widest of the block: gone before the next product unless kept
  saved->h = save(h, !wide_wanted && op->down().trains_a());
  const Tensor t_down = op->down().low_rank(h);
  Tensor y = op->narrow(h, t_down, addend);
  saved->t_down = save(t_down, op->down().trains_b());

  std::vector<Tensor> inputs = {input, addend};
  append_inputs(op->wide(), inputs);
  append_inputs(op->down(), inputs);
  return record_many("mlp", {std::move(y)}, inputs,
                     [op, saved](std::span<Tensor> dys, Wants wants) {
                       return gradients(*op, std::move(*saved), dys[0], wants);
                     })[0];
}

}  // namespace inlay
