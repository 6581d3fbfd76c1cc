// SPDX-License-Identifier: Apache-2.0
#include "core/ops/mlp.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/ops/elementwise.h"
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
        fused_(parts.fused),
        dtype_(wide),
        wide_(x.shape(), wide_parts(parts), compute),
        shape_(x.shape().with(-1, width_of(parts))),
        down_(shape_, {&parts.down, 1}, compute),
        gate_scales_(scales_in_gate(parts)) {
    if (parts.up && parts.up->out() != parts.first.out()) {
      throw ShapeError(str("project_mlp: the gate has ", parts.first.out(),
                           " values a row, up has ", parts.up->out()));
    }
  }

  const ProjectionGroup& wide() const { return wide_; }
  const ProjectionGroup& down() const { return down_; }
  DType dtype() const { return dtype_; }
  bool gated() const { return fused_ || wide_.parts().size() > 1; }
  int down_inputs() const { return kFirstWidePart + wide_.input_count(); }
  int inputs() const { return down_inputs() + down_.input_count(); }

  // Whether the gate scales what it reads: then the wide values are not yet scaled, and no pass over
  // them does it.
  bool gate_scales() const { return gate_scales_; }

  // first(x) and up(x), or both in one, and t on the way.
  struct Wide {
    std::vector<Tensor> values;
    ProjectionState state;
  };
  Wide widen(const Tensor& x, const Tensor& t, std::optional<DType> sums) const {
    Wide wide;
    for (const Projection& part : wide_.parts()) {
      wide.values.push_back(Tensor::empty(shape_.with(-1, part.out()), dtype_));
    }
    wide.state = run_projections(wide_, x, t, {}, wide.values, {gate_scales_, sums});
    return wide;
  }

  // h
  Tensor activate(std::span<const Tensor> values) const {
    Tensor h = Tensor::empty(shape_, dtype_);
    if (gate_scales_ && dtype_ == DType::kBf16) {
      on(h).scaled_gate_bf16(scaled_gate<u16>(values), h.span<u16>());
    } else if (gate_scales_) {
      on(h).scaled_gate(scaled_gate<float>(values), h.out());
    } else if (!gated()) {
      on(h).activation(activation_, values[0].in(), h.out());
    } else if (fused_ && dtype_ == DType::kBf16) {
      on(h).gated_rows_bf16(activation_, values[0].span<const u16>(), shape_[-1], h.span<u16>());
    } else if (fused_) {
      on(h).gated_rows(activation_, values[0].in(), shape_[-1], h.out());
    } else if (dtype_ == DType::kBf16) {
      on(h).gated_bf16(activation_, values[0].span<const u16>(), values[1].span<const u16>(),
                       h.span<u16>());
    } else {
      on(h).gated(activation_, values[0].in(), values[1].in(), h.out());
    }
    return h;
  }

  // The result.
  struct Narrow {
    Tensor value;
    ProjectionState state;
  };
  Narrow narrow(const Tensor& h, const Tensor& t, const Tensor& residual,
                std::optional<DType> sums) const {
    Narrow narrow{Tensor::empty(shape_.with(-1, down_.parts()[0].out())), {}};
    narrow.state = run_projections(down_, h, t, residual, {&narrow.value, 1}, {false, sums});
    return narrow;
  }

  // dh
  Tensor down_gradient(InputGradient& input) const {
    Tensor dh = Tensor::empty(shape_, dtype_);
    input.to_input(dh);
    return dh;
  }

  // The gradients of the wide values, over `values` if they are no one else's; and h over dh where
  // `wants_h`. Where the gate scales, those of the scales go to `dscales`, if they are defined.
  std::vector<Tensor> gate_gradients(const Tensor& dh, std::span<const Tensor> values, bool wants_h,
                                     std::span<const Tensor> dscales) const {
    std::vector<Tensor> grads;
    for (const Tensor& value : values) {
      grads.push_back(reuse_or_allocate(value));
    }
    if (gate_scales_) {
      scaled_gate_gradients(dh, values, grads, wants_h, dscales);
    } else if (dtype_ == DType::kBf16) {
      gate_gradients<u16>(dh, values, grads, wants_h);
    } else {
      gate_gradients<float>(dh, values, grads, wants_h);
    }
    return grads;
  }

 private:
  // Of h, a row.
  static i64 width_of(const MlpProjections& parts) {
    if (parts.fused && (parts.up || parts.first.out() % 2 != 0)) {
      throw ShapeError(str("project_mlp: expected a gate and up in one, found ", parts.first.out(),
                           " values a row", parts.up ? " and an up beside them" : ""));
    }
    return parts.fused ? parts.first.out() / 2 : parts.first.out();
  }

  // A bias comes after the scale: then the product does both.
  static bool scales_in_gate(const MlpProjections& parts) {
    const bool scaled =
        parts.first.output_scale.defined() || (parts.up && parts.up->output_scale.defined());
    const bool biased = parts.first.bias.defined() || (parts.up && parts.up->bias.defined());
    return (parts.fused || parts.up) && scaled && !biased;
  }

  // Of the gate and of up: the halves of a fused part's, or those of two parts. Null for 1.
  std::array<const float*, 2> gate_factors() const {
    const auto values = [&](std::size_t part) {
      const Tensor& scale = wide_.parts()[part].output_scale;
      return scale.defined() ? scale.data<const float>() : nullptr;
    };
    if (fused_) {
      return {values(0), values(0) + shape_[-1]};
    }
    return {values(0), values(1)};
  }

  template <class Value>
  kernels::ScaledGate<Value> scaled_gate(std::span<const Tensor> values) const {
    kernels::ScaledGate<Value> args;
    args.activation = activation_;
    args.width = shape_[-1];
    args.rows = rows_of(values[0]);
    args.gate = values[0].data<const Value>();
    args.up = fused_ ? args.gate + args.width : values[1].data<const Value>();
    args.stride = values[0].dim(-1);
    std::tie(args.gate_factors, args.up_factors) = std::tuple_cat(gate_factors());
    return args;
  }

  template <class Value>
  kernels::ScaledGateGradients<Value> scaled_gate_outputs(const Tensor& dh,
                                                          std::span<const Tensor> grads,
                                                          bool wants_h) const {
    kernels::ScaledGateGradients<Value> out;
    out.dh = dh.span<Value>();
    out.dgate = grads[0].data<Value>();
    out.dup = fused_ ? out.dgate + shape_[-1] : grads[1].data<Value>();
    out.wants_h = wants_h;
    return out;
  }

  void scaled_gate_gradients(const Tensor& dh, std::span<const Tensor> values,
                             std::span<const Tensor> grads, bool wants_h,
                             std::span<const Tensor> dscales) const {
    const auto run = [&](auto args, auto out, auto kernel) {
      if (fused_ && dscales[0].defined()) {
        out.dgate_factors = dscales[0].out().first(args.width);
        out.dup_factors = dscales[0].out().subspan(args.width);
      } else if (!fused_) {
        out.dgate_factors = dscales[0].defined() ? dscales[0].out() : std::span<float>();
        out.dup_factors = dscales[1].defined() ? dscales[1].out() : std::span<float>();
      }
      const MemoryScope scope(MemoryClass::kScratch);
      const Tensor scratch =
          Tensor::empty({current_kernels().column_sums_scratch(args.rows, 2 * args.width)});
      (on(dh).*kernel)(args, out, scratch.out());
    };
    if (dtype_ == DType::kBf16) {
      run(scaled_gate<u16>(values), scaled_gate_outputs<u16>(dh, grads, wants_h),
          &Kernels::scaled_gate_backward_bf16);
    } else {
      run(scaled_gate<float>(values), scaled_gate_outputs<float>(dh, grads, wants_h),
          &Kernels::scaled_gate_backward);
    }
  }

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
    if (fused_) {
      if constexpr (std::is_same_v<Value, float>) {
        on(grads[0]).gated_rows_backward(activation_, values[0].in(), shape_[-1], dh.in(),
                                         grads[0].out(), h);
      } else {
        on(grads[0]).gated_rows_backward_bf16(activation_, values[0].span<const u16>(), shape_[-1],
                                              dh.span<const u16>(), grads[0].span<u16>(), h);
      }
    } else if (gated()) {
      if constexpr (std::is_same_v<Value, float>) {
        on(grads[1]).gated_backward(activation_, values[0].in(), values[1].in(), dh.in(),
                                    grads[0].out(), grads[1].out(), h);
      } else {
        on(grads[1]).gated_backward_bf16(activation_, values[0].span<const u16>(),
                                         values[1].span<const u16>(), dh.span<const u16>(),
                                         grads[0].span<u16>(), grads[1].span<u16>(), h);
      }
    } else if constexpr (std::is_same_v<Value, float>) {
      on(grads[0]).activation_backward(activation_, values[0].in(), dh.in(), grads[0].out(), h);
    }
  }

  kernels::Activation activation_;
  bool fused_;
  DType dtype_;  // of the wide values; of a single one f32
  ProjectionGroup wide_;
  Shape shape_;  // of h
  ProjectionGroup down_;
  bool gate_scales_;
};

// What is held for backward.
struct MlpSaves {
  GroupSaves wide;
  // first(x) and up(x), where they are not made again: all of it, or from the z of the state.
  std::vector<Saved> values;
  SavedProjectionState state;
  Saved h;  // where nothing before it is trained
  Saved t_down;
  SavedProjectionState down_state;
};

// What forward had: held no more by `saved`, or made again.
MlpOp::Wide wide_values(const MlpOp& op, MlpSaves& saved) {
  if (saved.values.empty()) {
    const Tensor x = saved.wide.x.get();
    return op.widen(x, op.wide().low_rank(x), op.dtype());
  }
  MlpOp::Wide wide = {{}, saved.state.take()};
  for (std::size_t i = 0; i < saved.values.size(); ++i) {
    const Tensor& sum = wide.state.sums[i];
    wide.values.push_back(sum.defined() ? scaled_sums(op.wide().parts()[i], sum.to(op.dtype()))
                                        : saved.values[i].take().to(op.dtype()));
  }
  return wide;
}

// Where the gate computes them: of each wide part, undefined where it is not wanted.
std::vector<Tensor> scale_gradients(const MlpOp& op, Wants wants, Grads& grads) {
  std::vector<Tensor> dscales;
  for (std::size_t i = 0; op.gate_scales() && i < op.wide().parts().size(); ++i) {
    const int scale = op.wide().scale_input(kFirstWidePart, i);
    if (wants[scale]) {
      grads[scale] = Tensor::empty({op.wide().parts()[i].out()});
    }
    dscales.push_back(grads[scale]);
  }
  return dscales;
}

Grads gradients(const MlpOp& op, MlpSaves saved, std::span<Tensor> dys, Wants wants) {
  const int down_inputs = op.down_inputs();
  Grads grads(op.inputs());
  if (wants[1]) {
    grads[1] = dys[0];
  }
  bool wide_wanted = wants[0];
  for (int i = kFirstWidePart; i < down_inputs; ++i) {
    wide_wanted = wide_wanted || wants[i];
  }
  const bool a_wanted = op.down().wants_a(wants, down_inputs);
  ProjectionState down = saved.down_state.take(), state;
  const std::vector<Tensor> dz =
      sum_gradients(op.down(), dys, down.sums, wants, down_inputs, grads);
  down.sums.clear();
  std::vector<Tensor> dwide;
  {
    InputGradient input(op.down(), dz, down.kept, rows_of(dz[0]));
    Tensor h = saved.h.get();
    if (wide_wanted) {
      h = op.down_gradient(input);  // to become h
      MlpOp::Wide wide = wide_values(op, saved);
      dwide = op.gate_gradients(h, wide.values, a_wanted, scale_gradients(op, wants, grads));
      state = std::move(wide.state);
    } else if (a_wanted) {
      input.to_updates();
    }
    factor_gradients(op.down(), input, h, saved.t_down.get(), dz, wants, down_inputs, grads);
  }
  if (wide_wanted) {
    if (!op.gate_scales()) {
      dwide = sum_gradients(op.wide(), dwide, state.sums, wants, kFirstWidePart, grads);
    }
    state.sums.clear();
    group_gradients(op.wide(), saved.wide, state.kept, dwide, wants, kFirstWidePart, grads);
  }
  return grads;
}

bool any_wants_grad(const Tensor& x, const ProjectionGroup& group) {
  std::vector<Tensor> inputs = {x};
  group.append_inputs(inputs);
  return grad_enabled() && std::ranges::any_of(inputs, [](const Tensor& t) {
           return t.defined() && t.requires_grad();
         });
}

// s (act(first(x)) * up(x)) = act(first(x)) * (s up(x)): what scales down's inputs scales up's
// outputs, and no scaled copy of h is needed.
MlpProjections with_unscaled_inputs(MlpProjections parts) {
  const Tensor scale = std::exchange(parts.down.input_scale, Tensor());
  if (scale.defined()) {
    check_shape("project_mlp: input_scale", scale, {parts.down.in()});
    Projection& up = *parts.up;
    up.output_scale = up.output_scale.defined() ? mul(up.output_scale, scale) : scale;
    up.bias = up.bias.defined() ? mul(up.bias, scale) : Tensor();
  }
  return parts;
}

// Whether some part has an input of its own all the same.
bool has_scaled_inputs(const MlpProjections& parts) {
  return parts.first.input_scale.defined() ||
         (parts.up ? parts.up->input_scale : parts.down.input_scale).defined();
}

// One operation after the other.
Tensor apart(const Tensor& residual, const Tensor& x, const MlpProjections& parts,
             GemmCompute compute, MlpKeep keep) {
  std::vector<Projection> wide = {parts.first};
  if (parts.up) {
    wide.push_back(*parts.up);
  }
  std::vector<Tensor> values = project(x, wide, compute, DType::kF32, keep.values);
  if (keep.wide == Keep::kRecipe) {
    set_recipes(values, [wide, compute, sx = save(x, keep.values)] {
      return project(sx.get(), wide, compute);
    });
  }
  const Tensor h = parts.up      ? gated(parts.activation, values[0], values[1], keep.wide)
                   : parts.fused ? gated_rows(parts.activation, values[0], keep.wide)
                                 : activation(parts.activation, values[0], keep.wide);
  values.clear();  // the widest of the block: gone before the next product unless kept
  return residual.defined() ? project_onto(residual, h, parts.down, compute, keep.values)
                            : project(h, {&parts.down, 1}, compute, DType::kF32, keep.values)[0];
}

}  // namespace

Tensor project_mlp(const Tensor& residual, const Tensor& x, const MlpProjections& parts,
                   GemmCompute compute, DType wide, MlpKeep keep) {
  if (has_scaled_inputs(parts)) {
    return apart(residual, x, parts, compute, keep);
  }
  const auto op = std::make_shared<const MlpOp>(x, with_unscaled_inputs(parts), compute, wide);
  const Tensor input = contiguous(x);
  const Tensor addend = residual.defined() ? contiguous(residual) : Tensor();
  const bool wide_wanted = any_wants_grad(input, op->wide());
  const bool recompute = keep.wide == Keep::kRecipe;

  const auto sums = [&](DType result, Keep how) {
    return grad_enabled() ? std::optional(sums_type(result, how)) : std::nullopt;
  };
  const Tensor t = op->wide().low_rank(input);
  MlpOp::Wide made = op->widen(input, t, recompute ? std::nullopt : sums(op->dtype(), keep.wide));
  Tensor h = op->activate(made.values);
  const auto saved = std::make_shared<MlpSaves>();
  saved->wide = {save(input, keep.values, op->wide().trains_a() || (wide_wanted && recompute)),
                 save(t, Keep::kExact, op->wide().trains_b()), x.shape(), x.dtype()};
  if (wide_wanted && !recompute) {
    saved->state = SavedProjectionState(made.state);
    for (std::size_t i = 0; i < made.values.size(); ++i) {
      const bool from_state = made.state.sums[i].defined();
      saved->values.push_back(from_state ? Saved()
                                         : save(as_kept(made.values[i], keep.wide), Keep::kExact));
    }
  }
  made = {};  // the widest of the block: gone before the next product unless kept
  saved->h = save(h, Keep::kExact, !wide_wanted && op->down().trains_a());
  const Tensor t_down = op->down().low_rank(h);
  MlpOp::Narrow result = op->narrow(h, t_down, addend, sums(DType::kF32, keep.values));
  saved->down_state = SavedProjectionState(result.state);
  saved->t_down = save(t_down, Keep::kExact, op->down().trains_b());

  std::vector<Tensor> inputs = {input, addend};
  op->wide().append_inputs(inputs);
  op->down().append_inputs(inputs);
  return record_many("mlp", {std::move(result.value)}, inputs,
                     [op, saved](std::span<Tensor> dys, Wants wants) {
                       return gradients(*op, std::move(*saved), dys, wants);
                     })[0];
}

}  // namespace inlay
