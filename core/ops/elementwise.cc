// SPDX-License-Identifier: Apache-2.0
#include "core/ops/elementwise.h"

#include <utility>

#include "core/error.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/softmax.h"
#include "core/ops/support.h"

namespace inlay {

Tensor add(Tensor a, const Tensor& b) {
  check_shape("add", b, a.shape());
  Tensor y = result_over(a);
  kernels::add(dense(a).values(), dense(b).values(), y.mutable_values());
  return record("add", std::move(y), {a, b}, [](const Tensor& dy, Wants) -> Grads {
    return {dy, dy};
  });
}

Tensor add_row(Tensor x, const Tensor& row) {
  check_shape("add_row: row", row, {x.dim(-1)});
  Tensor y = result_over(x);
  kernels::add_row(dense(x).values(), row.values(), y.mutable_values());
  return record("add_row", std::move(y), {x, row}, [](const Tensor& dy, Wants wants) -> Grads {
    Tensor drow;
    if (wants[1]) {
      drow = Tensor::empty({dy.dim(-1)});
      kernels::column_sums(dy.values(), drow.mutable_values(), false);
    }
    return {dy, drow};
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  check_shape("mul", b, a.shape());
  const Tensor left = dense(a);
  const Tensor right = dense(b);
  Tensor y = Tensor::empty_like(left);
  kernels::multiply(left.values(), right.values(), y.mutable_values());
  const auto times = [](const Tensor& dy, const Saved& other) {
    Tensor grad = Tensor::empty_like(dy);
    kernels::multiply(dy.values(), other.get().values(), grad.mutable_values());
    return grad;
  };
  return record("mul", std::move(y), {left, right},
                [times, sl = save(left, b.requires_grad()), sr = save(right, a.requires_grad())](
                    const Tensor& dy, Wants wants) -> Grads {
                  return {wants[0] ? times(dy, sr) : Tensor(), wants[1] ? times(dy, sl) : Tensor()};
                });
}

Tensor scale(Tensor x, float factor) {
  Tensor y = result_over(x);
  kernels::scale(dense(x).values(), factor, y.mutable_values());
  return record("scale", std::move(y), {x}, [factor](const Tensor& dy, Wants) -> Grads {
    Tensor dx = result_over(dy);
    kernels::scale(dy.values(), factor, dx.mutable_values());
    return {dx};
  });
}

Tensor scale_columns(const Tensor& x, const Tensor& factors) {
  check_shape("scale_columns: factors", factors, {x.dim(-1)});
  const Tensor in = dense(x);
  Tensor y = Tensor::empty_like(in);
  kernels::scale_columns(in.values(), factors.values(), y.mutable_values());
  // dx = dy * factors,  dfactors = sum over rows of dy * x
  return record("scale_columns", std::move(y), {in, factors},
                [sx = save(in, factors.requires_grad()), sf = save(factors, x.requires_grad())](
                    const Tensor& dy, Wants wants) {
                  Grads grads(2);
                  if (wants[0]) {
                    grads[0] = Tensor::empty_like(dy);
                    kernels::scale_columns(dy.values(), sf.get().values(),
                                           grads[0].mutable_values());
                  }
                  if (wants[1]) {
                    grads[1] = Tensor::empty({dy.dim(-1)});
                    kernels::column_dots(dy.values(), sx.get().values(), grads[1].mutable_values());
                  }
                  return grads;
                });
}

Tensor dropout(const Tensor& x, float p, RandomKey key) {
  INLAY_ASSERT(p >= 0.0F && p < 1.0F);
  if (p == 0.0F) {
    return x;
  }
  const Tensor in = dense(x);
  Tensor y = Tensor::empty_like(in);
  kernels::dropout(in.values(), p, key.value(), y.mutable_values());
  y = record("dropout", std::move(y), {in}, [p, key](const Tensor& dy, Wants) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    kernels::dropout(dy.values(), p, key.value(), dx.mutable_values());
    return {dx};
  });
  set_recipe(y, [sx = save(in), p, key] {
    const Tensor again = sx.get();
    Tensor out = Tensor::empty_like(again);
    kernels::dropout(again.values(), p, key.value(), out.mutable_values());
    return out;
  });
  return y;
}

Tensor activation(kernels::Activation kind, const Tensor& x) {
  const Tensor in = dense(x);
  const auto compute = [kind](const Tensor& from) {
    Tensor y = Tensor::empty_like(from);
    kernels::activation(kind, from.values(), y.mutable_values());
    return y;
  };
  Tensor y = record(
      "activation", compute(in), {in}, [kind, sx = save(in)](const Tensor& dy, Wants) -> Grads {
        Tensor dx = Tensor::empty_like(dy);
        kernels::activation_backward(kind, sx.get().values(), dy.values(), dx.mutable_values());
        return {dx};
      });
  set_recipe(y, [compute, sx = save(in)] { return compute(sx.get()); });
  return y;
}

namespace {

template <class Value>
Tensor gated_of(kernels::Activation kind, const Tensor& gate, const Tensor& up) {
  check_shape("gated: up", up, gate.shape());
  const auto compute = [kind](const Tensor& a, const Tensor& b) {
    Tensor y = Tensor::empty_like(a);
    if constexpr (std::is_same_v<Value, float>) {
      kernels::gated(kind, a.values(), b.values(), y.mutable_values());
    } else {
      kernels::gated_bf16(kind, a.span<const u16>(), b.span<const u16>(), y.span<u16>());
    }
    return y;
  };
  const Tensor g = dense(gate);
  const Tensor u = dense(up);
  const Saved sg = save(g);
  const Saved su = save(u);
  Tensor y =
      record("gated", compute(g, u), {g, u}, [kind, sg, su](const Tensor& dy, Wants) -> Grads {
        Tensor dgate = Tensor::empty_like(dy);
        Tensor dup = Tensor::empty_like(dy);
        const Tensor gate_values = sg.get();
        const Tensor up_values = su.get();
        if constexpr (std::is_same_v<Value, float>) {
          kernels::gated_backward(kind, gate_values.values(), up_values.values(), dy.values(),
                                  dgate.mutable_values(), dup.mutable_values(), {});
        } else {
          kernels::gated_backward_bf16(kind, gate_values.span<const u16>(),
                                       up_values.span<const u16>(), dy.span<const u16>(),
                                       dgate.span<u16>(), dup.span<u16>(), {});
        }
        return {dgate, dup};
      });
  set_recipe(y, [compute, sg, su] { return compute(sg.get(), su.get()); });
  return y;
}

}  // namespace

Tensor gated(kernels::Activation kind, const Tensor& gate, const Tensor& up) {
  return gate.dtype() == DType::kBf16 ? gated_of<u16>(kind, gate, up)
                                      : gated_of<float>(kind, gate, up);
}

Tensor softmax(const Tensor& x) {
  const Tensor in = dense(x);
  Tensor y = Tensor::empty_like(in);
  kernels::softmax(in.values(), in.dim(-1), y.mutable_values());
  return record("softmax", y, {in}, [sy = save(y.detach())](const Tensor& dy, Wants) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    kernels::softmax_backward(sy.get().values(), dy.values(), dy.dim(-1), dx.mutable_values());
    return {dx};
  });
}

}  // namespace inlay
