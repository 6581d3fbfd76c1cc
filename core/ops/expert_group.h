// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/ops/experts.h"

// The grouped products that a projection of all experts comes to, forward and backward. For the .cc
// files of core/ops.
namespace inlay {

/// Leaves that an operation computes the gradients of, more than it may have inputs: an operation of
/// their own is recorded before, whose result is an input in their place.
class LeafBundle {
 public:
  explicit LeafBundle(std::span<const Tensor> leaves);
  /// What stands for up to 64 leaves, each; to be inputs.
  const std::vector<Tensor>& tokens() const { return tokens_; }
  /// Where the gradient of leaf i is to be put before the gradient of its token is returned; it may
  /// stay undefined.
  Tensor& gradient(std::size_t i) const { return (*gradients_)[i]; }

 private:
  std::vector<Tensor> tokens_;
  std::shared_ptr<std::vector<Tensor>> gradients_;
};

/// A projection of all experts over sorted rows.
class ExpertGroup {
 public:
  ExpertGroup(const ExpertProjection& projection, const Routing& routing, GemmCompute compute);

  i64 in() const { return projection_.in(); }
  i64 out() const { return out_; }
  bool trains_weights() const { return trains_weights_; }
  bool trains_a() const;
  bool trains_b() const;
  bool has_bias() const;

  /// The t of each update, t = factor x A^T: [N k, r].
  std::vector<Tensor> low_rank(const Tensor& x) const;
  /// y = x W^T + t B^T + bias
  void forward(const Tensor& x, std::span<const Tensor> t, const Tensor& y) const;
  /// The u of each update, u = factor dy B: [N k, r].
  std::vector<Tensor> to_updates(const Tensor& dy) const;
  /// dx = dy W + u A
  void to_input(const Tensor& dy, std::span<const Tensor> u, const Tensor& dx) const;

  // The inputs of a recorded operation that belong to the group, of which the first is `first`: A
  // and B of each update, the bias of each part, and the tokens of matrices.
  void append_inputs(std::vector<Tensor>& inputs) const;
  int input_count() const;
  /// The gradients of all of them, where they are wanted. `x` is undefined where no matrix and no A
  /// is trained, `t` empty where no B is.
  void gradients(const Tensor& x, std::span<const Tensor> t, const Tensor& dy,
                 std::span<const Tensor> u, Wants wants, int first, Grads& grads) const;
  /// bias . dy of each sorted row, added to sums[pair].
  void add_bias_dots(const Tensor& dy, const Tensor& sums) const;

 private:
  struct Update {
    Tensor a, b;  // [E, r, in], and [E, out, r] of its own
    float factor;
    i64 rank;
  };

  kernels::ExpertProduct product(i64 expert, const Tensor& x, const Tensor& y) const;
  void run(std::span<const kernels::ExpertProduct> products, const Tensor& on_device) const;
  Tensor packed_b(const Tensor& b, i64 rank) const;
  Tensor unpacked_b(const Tensor& packed) const;
  void matrix_gradients(const ExpertMatrices& part, i64 column, const LeafBundle& bundle,
                        const Tensor& x, const Tensor& dy) const;
  Tensor rows_gradient(const Tensor& left, const Tensor& right) const;

  ExpertProjection projection_;
  i64 experts_, rows_, pairs_;
  Tensor offsets_, pair_;
  GemmCompute compute_;
  i64 out_;
  bool trains_weights_ = false;
  std::vector<Update> updates_;
  std::vector<LeafBundle> bundles_;  // of each part
};

}  // namespace inlay
