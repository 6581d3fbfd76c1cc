// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection_group.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ops/product.h"
#include "core/ops/shape.h"

namespace inlay {

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
  if (p.lora_a.defined()) {
    check_shape("project: A", p.lora_a, {p.lora_a.dim(0), p.in()});
    check_shape("project: B", p.lora_b, {p.out(), p.lora_a.dim(0)});
  }
}

// t [M, ranks] = x times all A.
GemmArgs inner_product(const ProjectionGroup& group, const Tensor& x, const Tensor& stacked_a,
                       const Tensor& t) {
  GemmArgs args;
  static_cast<GemmTerm&>(args) = product_term(x, matrix_ref(stacked_a), true);
  set_result(args, t);
  args.compute = unquantised(group.compute());
  return args;
}

}  // namespace

ProjectionGroup::ProjectionGroup(const Shape& x, std::span<const Projection> projections,
                                 GemmCompute compute)
    : compute_(compute), parts_(projections.begin(), projections.end()) {
  for (const Projection& p : parts_) {
    check_projection(x, p);
    first_.push_back(ranks_);
    ranks_ += p.lora_a.defined() ? p.lora_a.dim(0) : 0;
  }
}

bool ProjectionGroup::trains_a() const {
  return std::ranges::any_of(
      parts_, [](const Projection& p) { return p.lora_a.defined() && p.lora_a.requires_grad(); });
}

bool ProjectionGroup::trains_b() const {
  return std::ranges::any_of(
      parts_, [](const Projection& p) { return p.lora_b.defined() && p.lora_b.requires_grad(); });
}

Tensor ProjectionGroup::low_rank(const Tensor& x) const {
  return ranks_ > 0 ? Tensor::empty({rows_of(x), ranks_}) : Tensor();
}

Tensor ProjectionGroup::stacked_a(bool scaled) const {
  const i64 in = parts_[0].in();
  Tensor out = Tensor::empty({ranks_, in});
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (adapted(i)) {
      const float factor = scaled ? parts_[i].factor : 1.0F;
      std::ranges::transform(parts_[i].lora_a.values(), out.data<float>() + first_[i] * in,
                             [factor](float a) { return factor * a; });
    }
  }
  return out;
}

GemmTerm ProjectionGroup::low_rank_term(const Tensor& t, std::size_t i, const Tensor& b) const {
  GemmTerm term;
  term.K = rank(i);
  term.a = t.data<const float>() + first_[i];
  term.a_row_stride = ranks_;
  term.b = matrix_ref(b);
  term.b_transposed = true;
  term.exact = true;
  return term;
}

ProductList projection_products(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                                const Tensor& addend, std::span<const Tensor> ys) {
  const std::size_t count = group.parts().size();
  ProductList list;
  list.terms.resize(count);
  list.outer.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Projection& p = group.parts()[i];
    GemmArgs& args = list.outer[i];
    static_cast<GemmTerm&>(args) = product_term(x, p.weight.ref(), group.straight(i));
    if (group.adapted(i)) {
      list.terms[i] = group.low_rank_term(t, i, p.lora_b);
      args.more = {&list.terms[i], 1};
    }
    set_result(args, ys[i]);
    args.bias = p.bias.defined() ? p.bias.data<const float>() : nullptr;
    if (addend.defined()) {
      args.addend = addend.data<const float>();
      args.addend_row_stride = args.N;
    }
    args.compute = group.compute();
  }
  if (t.defined()) {
    list.stacked_a = group.stacked_a(true);
    list.inner = {inner_product(group, x, list.stacked_a, t)};
  }
  return list;
}

Tensor inner_gradient(const ProjectionGroup& group, std::span<const Tensor> dys, i64 rows) {
  const bool whole = std::ranges::all_of(dys, [](const Tensor& dy) { return dy.defined(); });
  const Shape shape = {rows, group.ranks()};
  return whole ? Tensor::empty(shape) : Tensor::zeros(shape);
}

std::vector<GemmArgs> inner_gradient_products(const ProjectionGroup& group,
                                              std::span<const Tensor> dys, const Tensor& u) {
  std::vector<GemmArgs> products;
  for (std::size_t i = 0; i < dys.size(); ++i) {
    if (!group.adapted(i) || !dys[i].defined()) {
      continue;
    }
    GemmArgs& args = products.emplace_back();
    static_cast<GemmTerm&>(args) = product_term(dys[i], matrix_ref(group.parts()[i].lora_b), false);
    args.M = rows_of(u);
    args.N = group.rank(i);
    args.c = u.data<float>() + group.first(i);
    args.c_row_stride = group.ranks();
    args.alpha = group.parts()[i].factor;
    args.compute = unquantised(group.compute());
  }
  return products;
}

ProductList input_gradient_products(const ProjectionGroup& group, std::span<const Tensor> dys,
                                    const Tensor& u, const Tensor& dx) {
  ProductList list;
  for (std::size_t i = 0; i < dys.size(); ++i) {
    if (dys[i].defined()) {
      list.terms.push_back(product_term(dys[i], group.parts()[i].weight.ref(), !group.straight(i)));
    }
  }
  if (group.ranks() > 0) {
    list.inner = inner_gradient_products(group, dys, u);
    list.stacked_a = group.stacked_a(false);
    list.terms.push_back(product_term(u, matrix_ref(list.stacked_a), false));
    list.terms.back().exact = true;
  }
  GemmArgs& args = list.outer.emplace_back();
  static_cast<GemmTerm&>(args) = list.terms[0];
  args.more = std::span(list.terms).subspan(1);
  set_result(args, dx);
  args.compute = group.compute();
  return list;
}

namespace {

// The sums over tokens (dA, dB) have so few rows that they stay in f32: they read their large
// factor where it lies, and rounding it would cost more than multiplying.
//
// dB_i^T = t_i^T dy_i: the sum over tokens has few rows this way, and dy is read where it lies.
Tensor b_gradient(const ProjectionGroup& group, std::size_t i, const Tensor& t, const Tensor& dy) {
  const i64 rows = rows_of(dy);
  Tensor transposed = Tensor::empty({group.rank(i), dy.dim(-1)});
  GemmArgs args;
  args.M = group.rank(i);
  args.K = rows;
  args.N = dy.dim(-1);
  args.a = t.data<const float>() + group.first(i);
  args.a_row_stride = 1;
  args.a_col_stride = group.ranks();
  args.b = matrix_ref(dy.view({rows, dy.dim(-1)}));
  args.c = transposed.data<float>();
  args.c_row_stride = args.N;
  run_product(args);
  return transposed.transpose(0, 1).contiguous();
}

}  // namespace

void append_inputs(const ProjectionGroup& group, std::vector<Tensor>& inputs) {
  for (const Projection& p : group.parts()) {
    inputs.insert(inputs.end(), {p.bias, p.lora_a, p.lora_b});
  }
}

bool wants_a(const ProjectionGroup& group, Wants wants, int first) {
  const int parts = static_cast<int>(group.parts().size());
  bool wanted = false;
  for (int i = 0; i < parts; ++i) {
    wanted = wanted || wants[first + kPartInputs * i + 1];
  }
  return wanted;
}

void part_gradients(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                    std::span<const Tensor> dys, const Tensor& u, Wants wants, int first,
                    Grads& grads) {
  const Tensor dA = wants_a(group, wants, first)
                        ? sum_of_outer_products(u, x, 1.0F, GemmCompute::kF32)
                        : Tensor();
  const int parts = static_cast<int>(group.parts().size());
  for (int i = 0; i < parts; ++i) {
    const int bias = first + kPartInputs * i;
    if (!dys[i].defined()) {
      continue;
    }
    if (wants[bias]) {
      grads[bias] = column_sums(dys[i]);
    }
    if (wants[bias + 1]) {
      grads[bias + 1] = dA.slice(0, group.first(i), group.first(i) + group.rank(i)).clone();
    }
    if (wants[bias + 2]) {
      grads[bias + 2] = b_gradient(group, i, t, dys[i]);
    }
  }
}

void group_gradients(const ProjectionGroup& group, const GroupSaves& saved,
                     std::span<const Tensor> dys, Wants wants, int first, Grads& grads) {
  const i64 in = group.parts()[0].in();
  const i64 rows = in == 0 ? 0 : saved.in_shape.numel() / in;
  const bool u_wanted = group.ranks() > 0 && (wants[0] || wants_a(group, wants, first));
  const Tensor u = u_wanted ? inner_gradient(group, dys, rows) : Tensor();
  if (wants[0]) {
    grads[0] = Tensor::empty(saved.in_shape, saved.in_dtype);
    const ProductList list = input_gradient_products(group, dys, u, grads[0]);
    run_low_rank(list.inner, list.outer);
  } else if (u_wanted) {
    run_products(inner_gradient_products(group, dys, u));
  }
  part_gradients(group, saved.x.get(), saved.t.get(), dys, u, wants, first, grads);
}

}  // namespace inlay
