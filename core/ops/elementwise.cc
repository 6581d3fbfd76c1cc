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
  Tensor y = reuse_or_allocate(a);
  on(y).add(contiguous(a).in(), contiguous(b).in(), y.out());
  return record("add", std::move(y), {a, b}, [](const Tensor& dy, Wants) -> Grads {
    return {dy, dy};
  });
}

Tensor add_scaled(Tensor a, const Tensor& b, float factor) {
  check_shape("add_scaled", b, a.shape());
  Tensor y = reuse_or_allocate(a);
  on(y).add_scaled(contiguous(a).in(), contiguous(b).in(), factor, y.out());
  return record("add_scaled", std::move(y), {a, b},
                [factor](const Tensor& dy, Wants wants) -> Grads {
                  Tensor db;
                  if (wants[1]) {
                    db = Tensor::empty_like(dy);
                    on(db).scale(dy.in(), factor, db.out());
                  }
                  return {dy, db};
                });
}

Tensor add_row(Tensor x, const Tensor& row) {
  check_shape("add_row: row", row, {x.dim(-1)});
  Tensor y = reuse_or_allocate(x);
  on(y).add_row(contiguous(x).in(), row.in(), y.out());
  return record("add_row", std::move(y), {x, row}, [](const Tensor& dy, Wants wants) -> Grads {
    Tensor drow;
    if (wants[1]) {
      drow = Tensor::empty({dy.dim(-1)});
      on(drow).column_sums(dy.in(), drow.out(), false);
    }
    return {dy, drow};
  });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  check_shape("mul", b, a.shape());
  const Tensor left = contiguous(a);
  const Tensor right = contiguous(b);
  Tensor y = Tensor::empty_like(left);
  on(y).multiply(left.in(), right.in(), y.out());
  const auto times = [](const Tensor& dy, const Saved& other) {
    Tensor grad = Tensor::empty_like(dy);
    on(grad).multiply(dy.in(), other.get().in(), grad.out());
    return grad;
  };
  return record(
      "mul", std::move(y), {left, right},
      [times, sl = save(left, Keep::kExact, b.requires_grad()),
       sr = save(right, Keep::kExact, a.requires_grad())](const Tensor& dy, Wants wants) -> Grads {
        return {wants[0] ? times(dy, sr) : Tensor(), wants[1] ? times(dy, sl) : Tensor()};
      });
}

Tensor scale(Tensor x, float factor) {
  Tensor y = reuse_or_allocate(x);
  on(y).scale(contiguous(x).in(), factor, y.out());
  return record("scale", std::move(y), {x}, [factor](Tensor dy, Wants) -> Grads {
    const auto [values, dx] = take(std::move(dy));
    on(dx).scale(values.in(), factor, dx.out());
    return {dx};
  });
}

Tensor scale_columns(const Tensor& x, const Tensor& factors, Keep keep) {
  check_shape("scale_columns: factors", factors, {x.dim(-1)});
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  on(y).scale_columns(in.in(), factors.in(), y.out());
  // dx = dy * factors,  dfactors = sum over rows of dy * x
  return record("scale_columns", std::move(y), {in, factors},
                [sx = save(in, keep, factors.requires_grad()),
                 sf = save(factors, keep, x.requires_grad())](const Tensor& dy, Wants wants) {
                  Grads grads(2);
                  if (wants[0]) {
                    grads[0] = Tensor::empty_like(dy);
                    on(grads[0]).scale_columns(dy.in(), sf.get().in(), grads[0].out());
                  }
                  if (wants[1]) {
                    grads[1] = Tensor::empty({dy.dim(-1)});
                    on(grads[1]).column_dots(dy.in(), sx.get().in(), grads[1].out());
                  }
                  return grads;
                });
}

Tensor dropout(const Tensor& x, float p, RandomKey key, Keep keep) {
  INLAY_ASSERT(p >= 0.0F && p < 1.0F);
  if (p == 0.0F) {
    return x;
  }
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  on(y).dropout(in.in(), p, key.value(), y.out());
  y = record("dropout", std::move(y), {in}, [p, key](const Tensor& dy, Wants) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    on(dx).dropout(dy.in(), p, key.value(), dx.out());
    return {dx};
  });
  set_recipe(y, [sx = save(in, keep), p, key] {
    const Tensor again = sx.get();
    Tensor out = Tensor::empty_like(again);
    on(out).dropout(again.in(), p, key.value(), out.out());
    return out;
  });
  return y;
}

Tensor activation(kernels::Activation kind, const Tensor& x, Keep keep) {
  const Tensor in = contiguous(x);
  const auto compute = [kind](const Tensor& from) {
    Tensor y = Tensor::empty_like(from);
    on(y).activation(kind, from.in(), y.out());
    return y;
  };
  const Saved sx = save(in, keep);
  Tensor y = record("activation", compute(in), {in}, [kind, sx](const Tensor& dy, Wants) -> Grads {
    Tensor dx = Tensor::empty_like(dy);
    on(dx).activation_backward(kind, sx.get().in(), dy.in(), dx.out(), {});
    return {dx};
  });
  set_recipe(y, [compute, sx] { return compute(sx.get()); });
  return y;
}

namespace {

template <class Value>
Tensor gated_of(kernels::Activation kind, const Tensor& gate, const Tensor& up, Keep keep) {
  check_shape("gated: up", up, gate.shape());
  const auto compute = [kind](const Tensor& a, const Tensor& b) {
    Tensor y = Tensor::empty_like(a);
    if constexpr (std::is_same_v<Value, float>) {
      on(y).gated(kind, a.in(), b.in(), y.out());
    } else {
      on(y).gated_bf16(kind, a.span<const u16>(), b.span<const u16>(), y.span<u16>());
    }
    return y;
  };
  const Tensor g = contiguous(gate);
  const Tensor u = contiguous(up);
  const Saved sg = save(g, keep);
  const Saved su = save(u, keep);
  Tensor y =
      record("gated", compute(g, u), {g, u}, [kind, sg, su](const Tensor& dy, Wants) -> Grads {
        Tensor dgate = Tensor::empty_like(dy);
        Tensor dup = Tensor::empty_like(dy);
        const Tensor gate_values = sg.get();
        const Tensor up_values = su.get();
        if constexpr (std::is_same_v<Value, float>) {
          on(dup).gated_backward(kind, gate_values.in(), up_values.in(), dy.in(), dgate.out(),
                                 dup.out(), {});
        } else {
          on(dup).gated_backward_bf16(kind, gate_values.span<const u16>(),
                                      up_values.span<const u16>(), dy.span<const u16>(),
                                      dgate.span<u16>(), dup.span<u16>(), {});
        }
        return {dgate, dup};
      });
  set_recipe(y, [compute, sg, su] { return compute(sg.get(), su.get()); });
  return y;
}

template <class Value>
Tensor gated_rows_of(kernels::Activation kind, const Tensor& gate_up, Keep keep) {
  const Shape shape = gate_up.shape().with(-1, gate_up.dim(-1) / 2);
  const auto compute = [kind, shape](const Tensor& in) {
    Tensor y = Tensor::empty(shape, in.dtype());
    if constexpr (std::is_same_v<Value, float>) {
      on(y).gated_rows(kind, in.in(), shape[-1], y.out());
    } else {
      on(y).gated_rows_bf16(kind, in.span<const u16>(), shape[-1], y.span<u16>());
    }
    return y;
  };
  const Tensor in = contiguous(gate_up);
  const Saved saved = save(in, keep);
  Tensor y = record(
      "gated_rows", compute(in), {in}, [kind, saved, shape](const Tensor& dy, Wants) -> Grads {
        const Tensor values = saved.get();
        Tensor dx = Tensor::empty_like(values);
        if constexpr (std::is_same_v<Value, float>) {
          on(dx).gated_rows_backward(kind, values.in(), shape[-1], dy.in(), dx.out(), {});
        } else {
          on(dx).gated_rows_backward_bf16(kind, values.span<const u16>(), shape[-1],
                                          dy.span<const u16>(), dx.span<u16>(), {});
        }
        return {dx};
      });
  set_recipe(y, [compute, saved] { return compute(saved.get()); });
  return y;
}

}  // namespace

Tensor gated(kernels::Activation kind, const Tensor& gate, const Tensor& up, Keep keep) {
  return gate.dtype() == DType::kBf16 ? gated_of<u16>(kind, gate, up, keep)
                                      : gated_of<float>(kind, gate, up, keep);
}

Tensor gated_rows(kernels::Activation kind, const Tensor& gate_up, Keep keep) {
  if (gate_up.dim(-1) % 2 != 0) {
    throw ShapeError(
        str("gated_rows: expected rows of two halves, found ", gate_up.dim(-1), " values a row"));
  }
  return gate_up.dtype() == DType::kBf16 ? gated_rows_of<u16>(kind, gate_up, keep)
                                         : gated_rows_of<float>(kind, gate_up, keep);
}

Tensor softmax(const Tensor& x) {
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  on(y).softmax(in.in(), in.dim(-1), y.out());
  return record("softmax", y, {in},
                [sy = save(y.detach(), Keep::kExact)](const Tensor& dy, Wants) -> Grads {
                  Tensor dx = Tensor::empty_like(dy);
                  on(dx).softmax_backward(sy.get().in(), dy.in(), dy.dim(-1), dx.out());
                  return {dx};
                });
}

}  // namespace inlay
