// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"

namespace inlay {

/// Root-mean-square normalisation over the last axis:
///   y = x * rstd * weight,   rstd = 1 / sqrt(mean(x^2) + eps)
///   x [..., D]   weight [D]   returns [..., D]; all f32, sums are accumulated in double.
/// Saved for backward: x, weight, rstd (one float a row); y can be made again from them and is not
/// kept for its readers. x, the residual stream, is kept exactly; `keep` is for a weight that was
/// computed. Throws ShapeError unless weight is [D]. Zhang & Sennrich 2019,
/// arXiv:1910.07467, eq. 4.
Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps = 1e-5F, Keep keep = Keep::kExact);

/// Layer normalisation over the last axis, with the biased variance:
///   y = (x - mean) * rstd * weight + bias,   rstd = 1 / sqrt(var(x) + eps)
///   x [..., D]   weight, bias [D]   returns [..., D]
/// Saved as for rms_norm, and one mean a row. Ba et al. 2016, arXiv:1607.06450.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps = 1e-5F,
                  Keep keep = Keep::kExact);

}  // namespace inlay
