// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"

namespace inlay {

/// min(max(x, -bound), bound); dx is dy where |x| <= bound, and 0 elsewhere. Saved for backward: x.
Tensor clamp(const Tensor& x, float bound, Keep keep = Keep::kExact);

}  // namespace inlay
