// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"

namespace inlay {

/// cap * tanh(x / cap), element by element: x near zero, never beyond cap (Gemma Team 2024,
/// arXiv:2408.00118, section 2). Written over x when it is the only handle. Saved: the result.
Tensor softcap(Tensor x, float cap);

}  // namespace inlay
