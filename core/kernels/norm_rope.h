// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/rope.h"
#include "core/types.h"

/// Norms of the heads of queries and keys (Henry et al. 2020, arXiv:2010.04245, and after), and
/// RoPE before or after them, in one pass over memory.
namespace inlay::kernels {

/// Row r, of width W = rope.heads * rope.head_dim at x + r * rope.x_stride, is cut into groups of
/// `group` values, in each of which
///   n = (x - mean) rstd,   rstd = 1 / sqrt(var(x) + eps),   y = n weight
/// with a mean that is 0 unless `centred`. Sums over a group are taken in double.
struct NormRopeArgs {
  i64 group = 64;            // a head's values, or all of a row's
  bool centred = false;      // a layer norm without bias
  bool own_weights = false;  // weight [W]; else [group], the same for all groups
  float eps = 1e-6F;
  RopeArgs rope;  // of the same rows; nothing turns where its positions are null
  bool turns_first = false;

  i64 width() const { return rope.heads * rope.head_dim; }
  i64 groups() const { return width() / group; }
};

/// What norms read, and what they found: one number for each group of each row, [groups, rows].
struct NormStatistics {
  float* mean = nullptr;  // null unless `centred`
  float* rstd = nullptr;
};

/// y [rows, W], dense, may be x. `turned` [rows, W], dense: what the norm read where RoPE comes
/// first; it may be x, or y where nobody needs it afterwards. Otherwise it is not looked at.
void norm_rope(const NormRopeArgs& args, const float* x, const float* weight, float* turned,
               const NormStatistics& found, float* y);
/// The same result from what the norm read, x or `turned`.
void norm_rope_again(const NormRopeArgs& args, const float* read, const float* weight,
                     const NormStatistics& found, float* y);
/// dx [rows, W], dense, may be dy. In a group, with g the gradient of y, turned back to the norm's
/// side of RoPE, times weight:
///   dx = rstd (g - mean(g) - n mean(g n)),   without mean(g) unless `centred`
void norm_rope_backward(const NormRopeArgs& args, const float* read, const float* weight,
                        const NormStatistics& found, const float* dy, float* dx);
/// dweight[c] = sum over rows of dy n for each of the W columns; dy [rows, W] is the gradient of the
/// norm's own result.
void norm_rope_backward_weight(const NormRopeArgs& args, const float* read,
                               const NormStatistics& found, const float* dy,
                               std::span<float> dweight);

}  // namespace inlay::kernels
