// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "core/autograd/graph.h"
#include "core/kernels/dropped_input.h"
#include "core/kernels/gemm.h"
#include "core/ops/projection.h"

// The products that projections of one input come to, forward and backward (projection.h has the
// equations). For the .cc files of core/ops.
namespace inlay {

/// Projections of one input, with what is known of them together. Their updates, in order, have
/// columns of t and u side by side: those of update j are [first, first + rank).
class ProjectionGroup {
 public:
  struct Update {
    std::size_t part;  // of the projection it belongs to
    LowRankUpdate what;
    i64 first, rank;
    bool drops() const { return what.dropout > 0.0F; }
    /// Of t and u: with what dropout multiplies the values by that it keeps.
    float factor() const { return what.factor * (1.0F / (1.0F - what.dropout)); }
  };

  /// Throws ShapeError unless each of them takes an x of that shape. A projection without a weight
  /// is a group of its own.
  ProjectionGroup(const Shape& x, std::span<const Projection> projections, GemmCompute compute);

  const std::vector<Projection>& parts() const { return parts_; }
  const std::vector<Update>& updates() const { return updates_; }
  /// Those of part i.
  std::span<const Update> updates_of(std::size_t i) const {
    return std::span(updates_).subspan(begin_[i], begin_[i + 1] - begin_[i]);
  }
  i64 ranks() const { return ranks_; }
  GemmCompute compute() const { return compute_; }
  bool has_weights() const { return parts_[0].has_weight(); }
  bool straight(std::size_t i) const { return parts_[i].layout == WeightLayout::kOutIn; }
  bool scaled(std::size_t i) const { return parts_[i].output_scale.defined(); }
  bool trains_scale(std::size_t i) const;
  bool trains_a() const;
  bool trains_b() const;
  /// Whether some update drops values of x.
  bool drops() const;
  /// Draws the bits of what is kept of an x of so many values, for each update that drops some; for
  /// others undefined.
  std::vector<Tensor> draw_kept(i64 values) const;
  /// The factors of those that do, in order, with these bits.
  std::vector<kernels::DroppedFactor> dropped_factors(std::span<const Tensor> kept) const;
  /// Whether products leave out by themselves what an update has dropped of x.
  bool products_drop() const;

  /// t [rows of x, ranks], not yet filled; undefined without updates.
  Tensor low_rank(const Tensor& x) const;
  /// The A of all, one below the other, times their factors where `scaled`: [ranks, in].
  Tensor stacked_a(bool scaled) const;
  /// Columns of t that belong to the update, times a matrix.
  kernels::GemmTerm low_rank_term(const Tensor& t, const Update& update, const Tensor& m,
                                  bool transposed) const;

  // The inputs of a recorded operation that belong to the group, of which the first is `first`:
  // the bias and the scale of each part, then A and B of each update.
  void append_inputs(std::vector<Tensor>& inputs) const;
  int input_count() const { return static_cast<int>(2 * parts_.size() + 2 * updates_.size()); }
  int bias_input(int first, std::size_t part) const { return first + 2 * static_cast<int>(part); }
  int scale_input(int first, std::size_t part) const { return bias_input(first, part) + 1; }
  int a_input(int first, std::size_t update) const {
    return first + 2 * static_cast<int>(parts_.size() + update);
  }
  int b_input(int first, std::size_t update) const { return a_input(first, update) + 1; }
  bool wants_a(Wants wants, int first) const;

 private:
  GemmCompute compute_;
  std::vector<Projection> parts_;
  std::vector<Update> updates_;
  std::vector<std::size_t> begin_;  // of the updates of each part, and their end
  i64 ranks_ = 0;
};

/// What forward leaves for backward beside x and t.
struct ProjectionState {
  std::vector<Tensor> sums;  // z_i where its scale is trained and it is asked for, else undefined
  std::vector<Tensor> kept;  // of each update that drops values, a bit a value
};

struct ProjectionRun {
  /// z_i instead of y_i: neither scales nor biases.
  bool unscaled = false;
  /// The z_i of trained scales are wanted, too, in this type.
  std::optional<DType> sums;
};

/// The type in which z_i is held where y_i is of type `result`.
DType sums_type(DType result, Keep keep);

/// y_i = s_i z_i + bias_i + addend, to `ys`, and t on the way; `addend`, for a single part, may be
/// undefined.
ProjectionState run_projections(const ProjectionGroup& group, const Tensor& x, const Tensor& t,
                                const Tensor& addend, std::span<const Tensor> ys,
                                const ProjectionRun& run);
/// s_i z + bias_i
Tensor scaled_sums(const Projection& projection, const Tensor& z);

/// The same, held.
class SavedProjectionState {
 public:
  SavedProjectionState() = default;
  explicit SavedProjectionState(const ProjectionState& state);
  /// And no longer.
  ProjectionState take();

 private:
  std::vector<Saved> sums_, kept_;
};

/// The dz_i, undefined where no dy_i came; and to `grads` the gradients of biases and scales, where
/// they are wanted. A dz_i that differs from dy_i is bf16 where products take it so, else it is
/// over dy_i where that is no one else's.
std::vector<Tensor> sum_gradients(const ProjectionGroup& group, std::span<Tensor> dys,
                                  std::span<const Tensor> sums, Wants wants, int first,
                                  Grads& grads);

/// What meets in x on the way back, u_j = factor_j dz_i B_j for each update first.
class InputGradient {
 public:
  /// Nothing is computed yet. `dzs` and `kept` must outlive it.
  InputGradient(const ProjectionGroup& group, std::span<const Tensor> dzs,
                std::span<const Tensor> kept, i64 rows);
  /// dx = sum_i dz_i W_i + sum_j u_j A_j, of which nothing goes to what was dropped.
  void to_input(const Tensor& dx);
  /// The u alone.
  void to_updates();
  /// dA_j = u_j^T drop_j(x) of all updates, one below the other: [ranks, in].
  Tensor stacked_da(const Tensor& x) const;

 private:
  const ProjectionGroup& group_;
  std::span<const Tensor> dzs_, kept_;
  Tensor u_;  // [rows, ranks], zeros where no dz came; undefined without updates
};

/// The gradients of the A and B, where they are wanted. `x` is undefined where no A is trained, `t`
/// where no B is.
void factor_gradients(const ProjectionGroup& group, const InputGradient& input, const Tensor& x,
                      const Tensor& t, std::span<const Tensor> dzs, Wants wants, int first,
                      Grads& grads);

/// What a group holds for backward.
struct GroupSaves {
  Saved x, t;
  Shape in_shape;
  DType in_dtype;
};

/// The gradients of x, to grads[0], and of all A and B, from grads[first] on.
void group_gradients(const ProjectionGroup& group, const GroupSaves& saved,
                     std::span<const Tensor> kept, std::span<const Tensor> dzs, Wants wants,
                     int first, Grads& grads);

}  // namespace inlay
