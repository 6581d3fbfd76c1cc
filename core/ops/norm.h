// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"

namespace inlay {

struct NormOptions {
  float eps = 1e-5F;
  float offset = 0.0F;  // of the weight: Gemma multiplies with 1 + weight
  /// Of a weight that was computed; of an x that is no residual stream.
  Keep keep = Keep::kExact;
};

/// Root-mean-square normalisation over the last axis:
///   y = x * rstd * (offset + weight),   rstd = 1 / sqrt(mean(x^2) + eps)
///   x [..., D]   weight [D], or undefined: y = x * rstd   returns [..., D]
/// All f32; sums are accumulated in double. Saved for backward: x, weight, rstd (one float a row);
/// y can be made again from them and is not kept for its readers. x, the residual stream, is kept
/// exactly. Throws ShapeError unless weight is [D]. Zhang & Sennrich 2019, arXiv:1910.07467, eq. 4.
Tensor rms_norm(const Tensor& x, const Tensor& weight, const NormOptions& options = {});

/// residual + rms_norm(x), in one pass: for a norm of what a layer's part gives. Saved as above, but
/// for x, which is kept as the options say; the result is not made again.
Tensor rms_norm_onto(const Tensor& residual, const Tensor& x, const Tensor& weight,
                     const NormOptions& options = {});

/// Layer normalisation over the last axis, with the biased variance:
///   y = (x - mean) * rstd * (offset + weight) + bias,   rstd = 1 / sqrt(var(x) + eps)
///   x [..., D]   weight [D]   bias [D], or undefined   returns [..., D]
/// Saved as for rms_norm, and one mean a row. Ba et al. 2016, arXiv:1607.06450.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const NormOptions& options = {});

}  // namespace inlay
