// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/activation.h"
#include "core/kernels/gemm.h"
#include "core/types.h"

/// Mixtures of experts (Shazeer et al. 2017, arXiv:1701.06538): each of N rows goes through k of E
/// feed-forward blocks, which a router chooses.
///
/// The N k pairs of a row and an expert are sorted by expert, the pairs of one expert in the order
/// of the rows. Notation: pair p = row * k + choice is sorted row r = place[p], of row
/// source[r] = p / k; those of expert e are the sorted rows [offsets[e], offsets[e + 1]).
namespace inlay::kernels {

struct RouterParams {
  i64 experts = 0, chosen = 0;  // E and k
  /// The weights of the chosen sum to one: a softmax over them alone. Otherwise each has its share
  /// of the softmax over all.
  bool normalised = true;
};

/// The k largest logits of each row, the largest first, of equals the one of the lower index; and
/// what their results are multiplied with.
///   logits [N, E]   chosen [N, k]   weights [N, k]
///   probabilities [N, E]: the softmax over all, where not `normalised`; else empty
void route(const RouterParams& params, std::span<const float> logits, std::span<i32> chosen,
           std::span<float> weights, std::span<float> probabilities);
/// The gradient of the logits, through the weights of the chosen alone:
///   normalised:  dz_i = w_i (dw_i - sum_j w_j dw_j) of the chosen, 0 of the others
///   otherwise:   dz_i = p_i ([i chosen] dw_i - sum_j w_j dw_j)
void route_backward(const RouterParams& params, std::span<const i32> chosen,
                    std::span<const float> weights, std::span<const float> probabilities,
                    std::span<const float> dweights, std::span<float> dlogits);

/// The order by expert.
///   chosen [N, k]   offsets [E + 1]   source, pair [N k] by sorted row   place [N k] by pair
void sort_by_expert(const RouterParams& params, std::span<const i32> chosen, std::span<i32> offsets,
                    std::span<i32> source, std::span<i32> pair, std::span<i32> place);

/// y[t] = addend[t] + sum over j of w[t k + j] z[place[t k + j]], in the order of j.
///   z [N k, width]   weights [N, k], or empty for 1   addend, y [N, width]; addend may be empty,
///   and may be y
void combine_rows(std::span<const float> z, i64 width, i64 chosen, std::span<const i32> place,
                  std::span<const float> weights, std::span<const float> addend,
                  std::span<float> y);

/// What combine_rows did to row r of z, undone: sums[pair[r]] (+)= left[r] . right[r], and right[r]
/// *= weights[pair[r]].
///   left, right [N k, width]   weights, sums [N, k]; weights may be empty, and right stays then
void weigh_rows(std::span<const float> left, std::span<float> right, i64 width,
                std::span<const i32> pair, std::span<const float> weights, std::span<float> sums,
                bool add);
/// The same of biases: sums[pair[r]] += bias[e] . dy[r] for the rows of expert e.
void add_bias_dots(std::span<const float> bias, std::span<const float> dy, i64 width,
                   std::span<const i32> offsets, std::span<const i32> pair, std::span<float> sums);
/// out[e] (+)= the sum of the rows of expert e of dy.
void expert_column_sums(std::span<const float> dy, i64 width, std::span<const i32> offsets,
                        std::span<float> out, bool add);

/// weights[p] = scale[chosen[p]] * weights[p].
void scale_choices(std::span<const float> scale, std::span<const i32> chosen,
                   std::span<const float> weights, std::span<float> out);
/// dweights[p] = scale[chosen[p]] dout[p];  dscale[e] = the sum over its p of weights[p] dout[p],
/// in their order, unless dscale is empty.
void scale_choices_backward(std::span<const float> scale, std::span<const i32> chosen,
                            std::span<const float> weights, std::span<const float> dout,
                            std::span<float> dweights, std::span<float> dscale);

/// How an expert's first products become what its last one reads.
///   plain:    h = act(gate) * up
///   clamped:  h = (u + 1) g sigmoid(alpha g), g = min(gate, limit), u = clamp(up, -limit, limit)
///             (gpt-oss)
/// Gate and up of a row are its first and second half, or every other value, beginning with gate.
struct ExpertGate {
  Activation activation = Activation::kSilu;
  bool clamped = false;
  float alpha = 1.702F, limit = 7.0F;
  bool interleaved = false;
};

/// gate_up [R, 2 I], h [R, I]
void expert_gate(const ExpertGate& gate, std::span<const float> gate_up, i64 I, std::span<float> h);
/// Also h again, unless it is empty. dgate_up may be gate_up, and h may be dh.
void expert_gate_backward(const ExpertGate& gate, std::span<const float> gate_up,
                          std::span<const float> dh, i64 I, std::span<float> dgate_up,
                          std::span<float> h);

/// A product of the rows of one expert: as gemm, where A, C and the addend are those of all sorted
/// rows and M is N k. With `sums_rows` it is the contraction that runs over the rows (the gradient
/// of a weight): A is transposed, B dense and straight, K is N k, and M and C are the product's
/// own; an expert without rows gives zeros, or the addend.
struct ExpertProduct : GemmArgs {
  i64 expert = 0;
  bool sums_rows = false;
};

/// Of `most_rows` rows at the most an expert; the scratch does not depend on how many there are.
i64 expert_products_scratch(std::span<const ExpertProduct> products, i64 most_rows);
/// All of them, each with the bits of `gemm` for its rows.
void expert_products(std::span<const ExpertProduct> products, i64 most_rows,
                     std::span<const i32> offsets, std::span<float> scratch);

}  // namespace inlay::kernels
