// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection_group.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/kernels/output_scale.h"
#include "core/ops/product.h"
#include "core/ops/shape.h"
#include "core/ops/support.h"

namespace inlay {

using kernels::DroppedFactor;
using kernels::DroppedInput;
using kernels::GemmArgs;
using kernels::GemmTerm;

namespace {

void check_projection(const Shape& x, const Projection& p) {
  if (x.rank() < 1 || x[-1] != p.in()) {
    throw ShapeError(str("project: inner sizes differ: x ", x.to_string(), " with a weight [",
                         p.out(), ", ", p.in(), "]"));
  }
  if (p.bias.defined()) {
    check_shape("project: bias", p.bias, {p.out()});
  }
  if (p.output_scale.defined()) {
    check_shape("project: output_scale", p.output_scale, {p.out()});
  }
  for (const LowRankUpdate& update : p.updates) {
    check_shape("project: A", update.a, {update.a.dim(0), p.in()});
    check_shape("project: B", update.b, {p.out(), update.a.dim(0)});
  }
}

bool trained(const Tensor& t) {
  return t.defined() && t.requires_grad();
}

DroppedInput dropped_input(const Tensor& x) {
  DroppedInput input;
  input.rows = rows_of(x);
  input.columns = x.dim(-1);
  if (x.dtype() == DType::kBf16) {
    input.x_bf16 = x.data<const u16>();
  } else {
    input.x = x.data<const float>();
  }
  return input;
}

}  // namespace

ProjectionGroup::ProjectionGroup(const Shape& x, std::span<const Projection> projections,
                                 GemmCompute compute)
    : compute_(compute), parts_(projections.begin(), projections.end()) {
  if (!has_weights()) {
    INLAY_ASSERT(parts_.size() == 1);
    compute_ = unquantised(compute);  // every factor of an update is kept in bf16
  }
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    check_projection(x, parts_[i]);
    begin_.push_back(updates_.size());
    for (const LowRankUpdate& update : parts_[i].updates) {
      updates_.push_back({i, update, ranks_, update.a.dim(0)});
      ranks_ += update.a.dim(0);
    }
  }
  begin_.push_back(updates_.size());
}

bool ProjectionGroup::trains_scale(std::size_t i) const {
  return trained(parts_[i].output_scale);
}

bool ProjectionGroup::trains_a() const {
  return std::ranges::any_of(updates_, [](const Update& u) { return trained(u.what.a); });
}

bool ProjectionGroup::trains_b() const {
  return std::ranges::any_of(updates_, [](const Update& u) { return trained(u.what.b); });
}

bool ProjectionGroup::drops() const {
  return std::ranges::any_of(updates_, &Update::drops);
}

namespace {

// Bits lie in a tensor of floats of the same size.
u32* bits_of(const Tensor& kept) {
  return reinterpret_cast<u32*>(kept.data<float>());
}

}  // namespace

std::vector<Tensor> ProjectionGroup::draw_kept(i64 values) const {
  std::vector<Tensor> kept(updates_.size());
  std::vector<kernels::KeptDraw> draws;
  Tensor last;
  for (std::size_t j = 0; j < updates_.size(); ++j) {
    if (const LowRankUpdate& update = updates_[j].what; updates_[j].drops()) {
      kept[j] = Tensor::empty({kernels::kept_words(values)});
      draws.push_back({update.dropout, update.dropout_key.value(), bits_of(kept[j])});
      last = kept[j];
    }
  }
  if (!draws.empty()) {
    on(last).draw_kept(values, draws);
  }
  return kept;
}

std::vector<DroppedFactor> ProjectionGroup::dropped_factors(std::span<const Tensor> kept) const {
  std::vector<DroppedFactor> factors;
  for (std::size_t j = 0; j < updates_.size(); ++j) {
    if (const Update& update = updates_[j]; update.drops()) {
      factors.push_back({update.what.a.data<const float>(), update.rank, update.first,
                         update.factor(), bits_of(kept[j])});
    }
  }
  return factors;
}

bool ProjectionGroup::products_drop() const {
  return current_kernels().has_bf16_operands(unquantised(compute_));
}

Tensor ProjectionGroup::low_rank(const Tensor& x) const {
  return ranks_ > 0 ? Tensor::empty({rows_of(x), ranks_}) : Tensor();
}

Tensor ProjectionGroup::stacked_a(bool scaled) const {
  const i64 in = parts_[0].in();
  Tensor out = Tensor::empty({ranks_, in});
  for (const Update& update : updates_) {
    const float factor = scaled ? update.factor() : 1.0F;
    const Tensor rows = out.slice(0, update.first, update.first + update.rank);
    on(out).scale(update.what.a.in(), factor, rows.out());
  }
  return out;
}

GemmTerm ProjectionGroup::low_rank_term(const Tensor& t, const Update& update, const Tensor& m,
                                        bool transposed) const {
  GemmTerm term;
  term.K = update.rank;
  term.a = t.data<const float>() + update.first;
  term.a_row_stride = ranks_;
  term.b = matrix_ref(m);
  term.b_transposed = transposed;
  term.never_int8 = true;
  return term;
}

void ProjectionGroup::append_inputs(std::vector<Tensor>& inputs) const {
  for (const Projection& p : parts_) {
    inputs.insert(inputs.end(), {p.bias, p.output_scale});
  }
  for (const Update& update : updates_) {
    inputs.insert(inputs.end(), {update.what.a, update.what.b});
  }
}

bool ProjectionGroup::wants_a(Wants wants, int first) const {
  bool wanted = false;
  for (std::size_t j = 0; j < updates_.size(); ++j) {
    wanted = wanted || wants[a_input(first, j)];
  }
  return wanted;
}

namespace {

// The columns [first, first + rank) of t, or of u.
void set_columns(GemmArgs& args, const Tensor& t, const ProjectionGroup::Update& update) {
  args.M = rows_of(t);
  args.N = update.rank;
  args.c = t.data<float>() + update.first;
  args.c_row_stride = t.dim(-1);
}

// t = x [factor A]^T: all of them as one product, or, where some drop values of x, each its own (but
// for those that the products cannot leave out). `stacked_a` keeps what the products read.
std::vector<GemmArgs> inner_products(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                                     std::span<const Tensor> kept, Tensor& stacked_a) {
  if (!t.defined()) {
    return {};
  }
  GemmArgs args;
  args.compute = unquantised(group.compute());
  if (!group.drops()) {
    stacked_a = group.stacked_a(true);
    static_cast<GemmTerm&>(args) = product_term(x, matrix_ref(stacked_a), true);
    set_result(args, t);
    return {args};
  }
  std::vector<GemmArgs> products;
  for (std::size_t j = 0; j < group.updates().size(); ++j) {
    const ProjectionGroup::Update& update = group.updates()[j];
    if (!update.drops() || group.products_drop()) {
      static_cast<GemmTerm&>(args) = product_term(x, matrix_ref(update.what.a), true);
      args.a_kept = update.drops() ? bits_of(kept[j]) : nullptr;
      set_columns(args, t, update);
      args.alpha = update.factor();
      products.push_back(args);
    }
  }
  return products;
}

// `inner`, then `outer`. Where no weight comes first, `outer` starts with what `inner` made, and no
// operand is there to be packed for both.
void run_inner_and_outer(const ProjectionGroup& group, std::span<const GemmArgs> inner,
                         std::span<const GemmArgs> outer) {
  if (group.has_weights()) {
    run_low_rank(inner, outer);
  } else {
    run_products(inner);
    run_products(outer);
  }
}

kernels::ValuesIn values_in(const Tensor& t) {
  if (!t.defined()) {
    return {};
  }
  return t.dtype() == DType::kBf16 ? kernels::ValuesIn{nullptr, t.data<const u16>()}
                                   : kernels::ValuesIn{t.data<const float>(), nullptr};
}

// dz = scale dy; and dscale, if it is defined.
Tensor unscaled_gradient(const Tensor& scale, Tensor dy, const Tensor& z, bool to_bf16,
                         const Tensor& dscale) {
  kernels::ScaleBackward args;
  args.rows = rows_of(dy);
  args.columns = dy.dim(-1);
  Tensor values = dy, dz;
  if (to_bf16 && dy.dtype() == DType::kF32) {
    dz = Tensor::empty(dy.shape(), DType::kBf16);
  } else {
    Taken taken = take(std::move(dy));
    values = taken.values;
    dz = taken.result;
  }
  args.dy = values_in(values);
  if (dz.dtype() == DType::kBf16) {
    args.dz.bf16 = dz.data<u16>();
  } else {
    args.dz.f32 = dz.data<float>();
  }
  args.factors = scale.in();
  if (dscale.defined()) {
    args.z = values_in(z);
    args.dfactors = dscale.out();
  }
  const MemoryScope scope(MemoryClass::kScratch);
  const Tensor scratch =
      Tensor::empty({current_kernels().column_sums_scratch(args.rows, args.columns)});
  on(dz).scale_output_backward(args, scratch.out());
  return dz;
}

}  // namespace

DType sums_type(DType result, Keep keep) {
  return result == DType::kBf16 || keep == Keep::kRounded ? DType::kBf16 : DType::kF32;
}

Tensor scaled_sums(const Projection& projection, const Tensor& z) {
  Tensor y = Tensor::empty(z.shape(), z.dtype());
  const std::span<const float> bias =
      projection.bias.defined() ? projection.bias.in() : std::span<const float>();
  if (y.dtype() == DType::kBf16) {
    on(y).scale_output_bf16(z.span<const u16>(), projection.output_scale.in(), bias, y.span<u16>());
  } else {
    on(y).scale_output(z.in(), projection.output_scale.in(), bias, y.out());
  }
  return y;
}

SavedProjectionState::SavedProjectionState(const ProjectionState& state) {
  for (const Tensor& z : state.sums) {
    sums_.push_back(save(z, Keep::kExact, z.defined()));
  }
  for (const Tensor& kept : state.kept) {
    kept_.push_back(save(kept, Keep::kExact, kept.defined()));
  }
}

ProjectionState SavedProjectionState::take() {
  ProjectionState state;
  for (Saved& z : sums_) {
    state.sums.push_back(z.take());
  }
  for (Saved& kept : kept_) {
    state.kept.push_back(kept.take());
  }
  return state;
}

namespace {

// What becomes of the sums of part i: y, and z where it is asked for.
Tensor set_outputs(GemmArgs& args, const ProjectionGroup& group, std::size_t i,
                   const Tensor& addend, const Tensor& y, const ProjectionRun& run) {
  const Projection& p = group.parts()[i];
  Tensor z;
  set_result(args, y);
  if (run.unscaled) {
    return z;
  }
  if (group.scaled(i)) {
    args.scale = p.output_scale.data<const float>();
    if (run.sums && group.trains_scale(i)) {
      z = Tensor::empty(y.shape(), *run.sums);
      if (*run.sums == DType::kBf16) {
        args.unscaled_bf16 = z.data<u16>();
      } else {
        args.unscaled = z.data<float>();
      }
    }
  }
  args.bias = p.bias.defined() ? p.bias.data<const float>() : nullptr;
  if (addend.defined()) {
    args.addend = addend.data<const float>();
    args.addend_row_stride = args.N;
  }
  return z;
}

}  // namespace

ProjectionState run_projections(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                                const Tensor& addend, std::span<const Tensor> ys,
                                const ProjectionRun& run) {
  ProjectionState state;
  if (group.drops()) {
    state.kept = group.draw_kept(x.numel());
    if (!group.products_drop()) {
      on(t).dropped_products(dropped_input(x), group.dropped_factors(state.kept), t.data<float>(),
                             group.ranks());
    }
  }
  const std::size_t count = group.parts().size();
  std::vector<GemmArgs> outer(count);
  std::vector<GemmTerm> terms;
  for (const ProjectionGroup::Update& update : group.updates()) {
    terms.push_back(group.low_rank_term(t, update, update.what.b, true));
  }
  std::size_t term = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const Projection& p = group.parts()[i];
    GemmArgs& args = outer[i];
    std::span<const GemmTerm> more = std::span(terms).subspan(term, group.updates_of(i).size());
    term += more.size();
    if (p.has_weight()) {
      static_cast<GemmTerm&>(args) = product_term(x, p.weight.ref(), group.straight(i));
      args.more = more;
    } else {
      static_cast<GemmTerm&>(args) = more[0];
      args.more = more.subspan(1);
    }
    state.sums.push_back(set_outputs(args, group, i, addend, ys[i], run));
    args.compute = group.compute();
  }
  Tensor stacked_a;
  const std::vector<GemmArgs> inner = inner_products(group, x, t, state.kept, stacked_a);
  run_inner_and_outer(group, inner, outer);
  return state;
}

std::vector<Tensor> sum_gradients(const ProjectionGroup& group, std::span<Tensor> dys,
                                  std::span<const Tensor> sums, Wants wants, int first,
                                  Grads& grads) {
  const bool to_bf16 = current_kernels().has_bf16_operands(group.compute());
  std::vector<Tensor> dzs;
  for (std::size_t i = 0; i < dys.size(); ++i) {
    Tensor dy = std::move(dys[i]);
    if (dy.defined() && wants[group.bias_input(first, i)]) {
      grads[group.bias_input(first, i)] = column_sums(dy);
    }
    if (dy.defined() && group.scaled(i)) {
      const int scale = group.scale_input(first, i);
      if (wants[scale]) {
        grads[scale] = Tensor::empty({dy.dim(-1)});
      }
      dy = unscaled_gradient(group.parts()[i].output_scale, std::move(dy), sums[i], to_bf16,
                             grads[scale]);
    }
    dzs.push_back(std::move(dy));
  }
  return dzs;
}

InputGradient::InputGradient(const ProjectionGroup& group, std::span<const Tensor> dzs,
                             std::span<const Tensor> kept, i64 rows)
    : group_(group), dzs_(dzs), kept_(kept) {
  const bool whole = std::ranges::all_of(dzs, [](const Tensor& dz) { return dz.defined(); });
  if (group.ranks() > 0) {
    const Shape shape = {rows, group.ranks()};
    u_ = whole ? Tensor::empty(shape) : Tensor::zeros(shape);
  }
}

namespace {

// u_j = factor_j dz_i B_j
std::vector<GemmArgs> update_gradients(const ProjectionGroup& group, std::span<const Tensor> dzs,
                                       const Tensor& u) {
  std::vector<GemmArgs> products;
  for (const ProjectionGroup::Update& update : group.updates()) {
    if (dzs[update.part].defined()) {
      GemmArgs& args = products.emplace_back();
      static_cast<GemmTerm&>(args) =
          product_term(dzs[update.part], matrix_ref(update.what.b), false);
      set_columns(args, u, update);
      args.alpha = update.factor();
      args.compute = unquantised(group.compute());
    }
  }
  return products;
}

}  // namespace

void InputGradient::to_updates() {
  if (u_.defined()) {
    run_products(update_gradients(group_, dzs_, u_));
  }
}

void InputGradient::to_input(const Tensor& dx) {
  std::vector<GemmTerm> terms;
  for (std::size_t i = 0; i < dzs_.size(); ++i) {
    if (dzs_[i].defined() && group_.has_weights()) {
      terms.push_back(product_term(dzs_[i], group_.parts()[i].weight.ref(), !group_.straight(i)));
    }
  }
  Tensor stacked_a;
  if (u_.defined() && !group_.drops()) {
    stacked_a = group_.stacked_a(false);
    terms.push_back(product_term(u_, matrix_ref(stacked_a), false));
    terms.back().never_int8 = true;
  } else {
    // Those of which a part is kept come last: the others are one sum.
    for (const bool drops : {false, true}) {
      for (std::size_t j = 0; j < group_.updates().size(); ++j) {
        const ProjectionGroup::Update& update = group_.updates()[j];
        if (update.drops() == drops) {
          terms.push_back(group_.low_rank_term(u_, update, update.what.a, false));
          terms.back().kept = drops ? bits_of(kept_[j]) : nullptr;
        }
      }
    }
  }
  GemmArgs outer;
  static_cast<GemmTerm&>(outer) = terms[0];
  outer.more = std::span(terms).subspan(1);
  set_result(outer, dx);
  outer.compute = group_.compute();
  run_inner_and_outer(group_, update_gradients(group_, dzs_, u_), {&outer, 1});
}

// The sums over tokens (dA, dB) have so few rows that they stay in f32: they read their large
// factor in place, and rounding it would cost more than multiplying.
Tensor InputGradient::stacked_da(const Tensor& x) const {
  const bool drops = group_.drops();
  const bool all = drops && std::ranges::all_of(group_.updates(), &ProjectionGroup::Update::drops);
  Tensor dA = all ? Tensor::empty({group_.ranks(), x.dim(-1)})
                  : sum_of_outer_products(u_, x, 1.0F, GemmCompute::kF32);
  if (drops) {  // over the rows of those that do
    const DroppedInput input = dropped_input(x);
    const MemoryScope scope(MemoryClass::kScratch);
    const Tensor scratch =
        Tensor::empty({current_kernels().dropped_outer_products_scratch(input, group_.ranks())});
    on(dA).dropped_outer_products(input, group_.dropped_factors(kept_), u_.data<const float>(),
                                  group_.ranks(), dA.data<float>(), scratch.out());
  }
  return dA;
}

namespace {

// dB^T = t^T dz: the sum over tokens has few rows this way, and dz is read in place.
Tensor b_gradient(const ProjectionGroup& group, const ProjectionGroup::Update& update,
                  const Tensor& t, const Tensor& dz) {
  const i64 rows = rows_of(dz);
  Tensor transposed = Tensor::empty({update.rank, dz.dim(-1)});
  GemmArgs args;
  args.M = update.rank;
  args.K = rows;
  args.N = dz.dim(-1);
  args.a = t.data<const float>() + update.first;
  args.a_row_stride = 1;
  args.a_col_stride = group.ranks();
  args.b = matrix_ref(dz.view({rows, dz.dim(-1)}));
  args.c = transposed.data<float>();
  args.c_row_stride = args.N;
  run_product(args);
  return transposed.transpose(0, 1).contiguous();
}

}  // namespace

void factor_gradients(const ProjectionGroup& group, const InputGradient& input, const Tensor& x,
                      const Tensor& t, std::span<const Tensor> dzs, Wants wants, int first,
                      Grads& grads) {
  const Tensor dA = group.wants_a(wants, first) ? input.stacked_da(x) : Tensor();
  for (std::size_t j = 0; j < group.updates().size(); ++j) {
    const ProjectionGroup::Update& update = group.updates()[j];
    const Tensor& dz = dzs[update.part];
    if (!dz.defined()) {
      continue;
    }
    if (wants[group.a_input(first, j)]) {
      grads[group.a_input(first, j)] =
          dA.slice(0, update.first, update.first + update.rank).clone();
    }
    if (wants[group.b_input(first, j)]) {
      grads[group.b_input(first, j)] = b_gradient(group, update, t, dz);
    }
  }
}

void group_gradients(const ProjectionGroup& group, const GroupSaves& saved,
                     std::span<const Tensor> kept, std::span<const Tensor> dzs, Wants wants,
                     int first, Grads& grads) {
  const i64 in = group.parts()[0].in();
  const i64 rows = in == 0 ? 0 : saved.in_shape.numel() / in;
  InputGradient input(group, dzs, kept, rows);
  if (wants[0]) {
    grads[0] = Tensor::empty(saved.in_shape, saved.in_dtype);
    input.to_input(grads[0]);
  } else if (group.wants_a(wants, first)) {
    input.to_updates();
  }
  // Only now: x and dx are not there at once if x is made again.
  const Tensor x = saved.x.get();
  factor_gradients(group, input, x, saved.t.get(), dzs, wants, first, grads);
}

}  // namespace inlay
