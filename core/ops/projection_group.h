// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/autograd/graph.h"
#include "core/kernels/gemm.h"
#include "core/ops/projection.h"

// The products that projections of one input come to, forward and backward (projection.h has the
// equations). For the .cc files of core/ops.
namespace inlay {

/// Projections of one input, with what is known of them together: the columns
/// [first, first + rank) of all ranks belong to one of them.
class ProjectionGroup {
 public:
  /// Throws ShapeError unless each of them takes an x of that shape.
  ProjectionGroup(const Shape& x, std::span<const Projection> projections, GemmCompute compute);

  const std::vector<Projection>& parts() const { return parts_; }
  i64 ranks() const { return ranks_; }
  GemmCompute compute() const { return compute_; }
  bool adapted(std::size_t i) const { return parts_[i].lora_a.defined(); }
  i64 first(std::size_t i) const { return first_[i]; }
  i64 rank(std::size_t i) const { return adapted(i) ? parts_[i].lora_a.dim(0) : 0; }
  bool straight(std::size_t i) const { return parts_[i].layout == WeightLayout::kOutIn; }
  bool trains_a() const;
  bool trains_b() const;

  /// t [rows of x, ranks], not yet filled; undefined without adapters.
  Tensor low_rank(const Tensor& x) const;
  /// The A of all, one below the other, times their factors where `scaled`: [ranks, in].
  Tensor stacked_a(bool scaled) const;
  /// Columns of t that belong to part i, times a matrix.
  kernels::GemmTerm low_rank_term(const Tensor& t, std::size_t i, const Tensor& b) const;

 private:
  GemmCompute compute_;
  std::vector<Projection> parts_;
  std::vector<i64> first_;
  i64 ranks_ = 0;
};

/// Products, those of `inner` first, and the tensors they read that no one else holds.
struct ProductList {
  std::vector<kernels::GemmArgs> inner, outer;
  std::vector<kernels::GemmTerm> terms;
  Tensor stacked_a;
};

/// The y_i = x W_i^T + bias_i + t_i B_i^T + addend, to `ys`, and t on the way.
ProductList projection_products(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                                const Tensor& addend, std::span<const Tensor> ys);

/// u [rows, ranks], factor_i dy_i B_i in the columns of part i, not yet filled; zero where no dy_i
/// came.
Tensor inner_gradient(const ProjectionGroup& group, std::span<const Tensor> dys, i64 rows);
/// The products that fill it.
std::vector<kernels::GemmArgs> inner_gradient_products(const ProjectionGroup& group,
                                                       std::span<const Tensor> dys,
                                                       const Tensor& u);
/// dx, and u on the way.
ProductList input_gradient_products(const ProjectionGroup& group, std::span<const Tensor> dys,
                                    const Tensor& u, const Tensor& dx);

/// Inputs of a recorded operation that belong to each part: bias, A and B.
inline constexpr int kPartInputs = 3;
void append_inputs(const ProjectionGroup& group, std::vector<Tensor>& inputs);

/// The gradients of those inputs, to grads[first] and on, where they are wanted. `x` is undefined
/// where no A is trained, `t` where no B is.
void part_gradients(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                    std::span<const Tensor> dys, const Tensor& u, Wants wants, int first,
                    Grads& grads);
bool wants_a(const ProjectionGroup& group, Wants wants, int first);

/// What a group holds for backward.
struct GroupSaves {
  Saved x, t;
  Shape in_shape;
  DType in_dtype;
};

/// The gradients of x, to grads[0], and of all parts, from grads[first] on.
void group_gradients(const ProjectionGroup& group, const GroupSaves& saved,
                     std::span<const Tensor> dys, Wants wants, int first, Grads& grads);

}  // namespace inlay
