// SPDX-License-Identifier: Apache-2.0
#include "core/ops/projection.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/ops/product.h"
#include "core/ops/shape.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

using kernels::GemmArgs;
using kernels::GemmTerm;

// The projections with what is known of them together: the columns [first, first + rank) of all
// ranks belong to one of them.
class Group {
 public:
  Group(std::span<const Projection> projections, GemmCompute compute)
      : compute_(compute), parts_(projections.begin(), projections.end()) {
    for (const Projection& p : parts_) {
      first_.push_back(ranks_);
      ranks_ += p.lora_a.defined() ? p.lora_a.dim(0) : 0;
    }
  }

  const std::vector<Projection>& parts() const { return parts_; }
  i64 ranks() const { return ranks_; }
  GemmCompute compute() const { return compute_; }
  bool adapted(std::size_t i) const { return parts_[i].lora_a.defined(); }
  i64 first(std::size_t i) const { return first_[i]; }
  i64 rank(std::size_t i) const { return adapted(i) ? parts_[i].lora_a.dim(0) : 0; }
  bool straight(std::size_t i) const { return parts_[i].layout == WeightLayout::kOutIn; }

  // The A of all, one below the other, times their factors where `scaled`: [ranks, in].
  Tensor stacked_a(bool scaled) const {
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

  // Columns of t [M, ranks] that belong to part i, times a matrix.
  GemmTerm low_rank_term(const Tensor& t, std::size_t i, const Tensor& b) const {
    GemmTerm term;
    term.K = rank(i);
    term.a = t.data<const float>() + first_[i];
    term.a_row_stride = ranks_;
    term.b = matrix_ref(b);
    term.b_transposed = true;
    term.exact = true;
    return term;
  }

 private:
  GemmCompute compute_;
  std::vector<Projection> parts_;
  std::vector<i64> first_;
  i64 ranks_ = 0;
};

void check_projection(const Tensor& x, const Projection& p) {
  if (x.rank() < 1 || x.dim(-1) != p.in()) {
    throw ShapeError(str("project: inner sizes differ: x ", x.shape().to_string(),
                         " with a weight [", p.out(), ", ", p.in(), "]"));
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
GemmArgs inner_product(const Group& group, const Tensor& x, const Tensor& stacked_a,
                       const Tensor& t) {
  GemmArgs args;
  static_cast<GemmTerm&>(args) = product_term(x, matrix_ref(stacked_a), true);
  set_result(args, t);
  args.compute = unquantised(group.compute());
  return args;
}

// The y_i, added to `addend` where there is one, and t on the way.
std::vector<Tensor> forward_of(const Group& group, const Tensor& x, const Tensor& t,
                               const Tensor& addend, DType result) {
  const std::size_t count = group.parts().size();
  std::vector<Tensor> ys;
  std::vector<GemmTerm> updates(count);
  std::vector<GemmArgs> products(count);
  for (std::size_t i = 0; i < count; ++i) {
    const Projection& p = group.parts()[i];
    const Tensor& y = ys.emplace_back(Tensor::empty(x.shape().with(-1, p.out()), result));
    GemmArgs& args = products[i];
    static_cast<GemmTerm&>(args) = product_term(x, p.weight.ref(), group.straight(i));
    if (group.adapted(i)) {
      updates[i] = group.low_rank_term(t, i, p.lora_b);
      args.more = {&updates[i], 1};
    }
    set_result(args, y);
    args.bias = p.bias.defined() ? p.bias.data<const float>() : nullptr;
    if (addend.defined()) {
      args.addend = addend.data<const float>();
      args.addend_row_stride = args.N;
    }
    args.compute = group.compute();
  }
  if (!t.defined()) {
    run_products(products);
    return ys;
  }
  const Tensor a = group.stacked_a(true);
  const GemmArgs inner = inner_product(group, x, a, t);
  run_low_rank({&inner, 1}, products);
  return ys;
}

// u [M, ranks]: factor_i dy_i B_i in the columns of part i; zero where no dy_i came.
Tensor inner_gradient(const Group& group, std::span<const Tensor> dys, i64 rows) {
  const bool whole = std::ranges::all_of(dys, [](const Tensor& dy) { return dy.defined(); });
  const Shape shape = {rows, group.ranks()};
  return whole ? Tensor::empty(shape) : Tensor::zeros(shape);
}

std::vector<GemmArgs> inner_gradient_products(const Group& group, std::span<const Tensor> dys,
                                              const Tensor& u) {
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

struct Saves {
  Saved x, t;
  Shape in_shape;
  DType in_dtype;
};

// dx, and u on the way, which the products of `inner` make.
Tensor input_gradient(const Group& group, std::span<const Tensor> dys, const Tensor& u,
                      std::span<const GemmArgs> inner, const Saves& saved) {
  std::vector<GemmTerm> terms;
  for (std::size_t i = 0; i < dys.size(); ++i) {
    if (dys[i].defined()) {
      terms.push_back(product_term(dys[i], group.parts()[i].weight.ref(), !group.straight(i)));
    }
  }
  const Tensor a = group.ranks() > 0 ? group.stacked_a(false) : Tensor();
  if (a.defined()) {
    terms.push_back(product_term(u, matrix_ref(a), false));
    terms.back().exact = true;
  }
  Tensor dx = Tensor::empty(saved.in_shape, saved.in_dtype);
  GemmArgs args;
  static_cast<GemmTerm&>(args) = terms[0];
  args.more = std::span(terms).subspan(1);
  set_result(args, dx);
  args.compute = group.compute();
  run_low_rank(inner, {&args, 1});
  return dx;
}

// The sums over tokens (dA, dB) have so few rows that they stay in f32: they read their large
// factor where it lies, and rounding it would cost more than multiplying.
//
// dB_i^T = t_i^T dy_i: the sum over tokens has few rows this way, and dy is read where it lies.
Tensor b_gradient(const Group& group, std::size_t i, const Tensor& t, const Tensor& dy) {
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

// The inputs of the recorded operation: x, the addend (or an undefined one), then bias, A and B of
// each part.
constexpr int kPartInputs = 3;
constexpr int kFirstPart = 2;

Grads gradients(const Group& group, const Saves& saved, std::span<Tensor> dys, Wants wants) {
  const int parts = static_cast<int>(group.parts().size());
  Grads grads(kFirstPart + kPartInputs * parts);
  grads[1] = dys[0];
  const i64 in = group.parts()[0].in();
  const i64 rows = in == 0 ? 0 : saved.in_shape.numel() / in;
  bool a_wanted = false;
  for (int i = 0; i < parts; ++i) {
    a_wanted = a_wanted || wants[kFirstPart + kPartInputs * i + 1];
  }
  const bool u_wanted = group.ranks() > 0 && (wants[0] || a_wanted);
  const Tensor u = u_wanted ? inner_gradient(group, dys, rows) : Tensor();
  const std::vector<GemmArgs> inner =
      u_wanted ? inner_gradient_products(group, dys, u) : std::vector<GemmArgs>();
  if (wants[0]) {
    grads[0] = input_gradient(group, dys, u, inner, saved);
  } else {
    run_products(inner);
  }
  const Tensor dA =
      a_wanted ? sum_of_outer_products(u, saved.x.get(), 1.0F, GemmCompute::kF32) : Tensor();
  for (int i = 0; i < parts; ++i) {
    const int first = kFirstPart + kPartInputs * i;
    if (!dys[i].defined()) {
      continue;
    }
    if (wants[first]) {
      grads[first] = column_sums(dys[i]);
    }
    if (wants[first + 1]) {
      grads[first + 1] = dA.slice(0, group.first(i), group.first(i) + group.rank(i)).clone();
    }
    if (wants[first + 2]) {
      grads[first + 2] = b_gradient(group, i, saved.t.get(), dys[i]);
    }
  }
  return grads;
}

std::vector<Tensor> run_group(const Tensor& addend, const Tensor& x,
                              std::span<const Projection> projections, GemmCompute compute,
                              DType result) {
  for (const Projection& p : projections) {
    check_projection(x, p);
  }
  const auto group = std::make_shared<const Group>(projections, compute);
  const Tensor input = dense(x);
  const Tensor residual = addend.defined() ? dense(addend) : Tensor();
  Tensor t;
  if (group->ranks() > 0) {
    t = Tensor::empty({rows_of(input), group->ranks()});
  }
  std::vector<Tensor> inputs = {input, residual};
  bool a_wanted = false;
  bool b_wanted = false;
  for (const Projection& p : group->parts()) {
    inputs.insert(inputs.end(), {p.bias, p.lora_a, p.lora_b});
    a_wanted = a_wanted || (p.lora_a.defined() && p.lora_a.requires_grad());
    b_wanted = b_wanted || (p.lora_b.defined() && p.lora_b.requires_grad());
  }
  std::vector<Tensor> ys = forward_of(*group, input, t, residual, result);
  const Saves saved = {save(input, a_wanted), save(t, b_wanted), x.shape(), x.dtype()};
  return record_many("project", std::move(ys), inputs,
                     [group, saved](std::span<Tensor> dys, Wants wants) {
                       return gradients(*group, saved, dys, wants);
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
