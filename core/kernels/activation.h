// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Activation functions over contiguous f32 values, and the gated products built on them. The
/// backward forms read the inputs of the forward, never its result. An output may be an input.
namespace inlay::kernels {

enum class Activation : u8 {
  kSilu,      // x sigmoid(x)
  kGelu,      // x Phi(x), Phi by erf
  kGeluTanh,  // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};

/// y = act(x)
void activation(Activation kind, std::span<const float> x, std::span<float> y);
/// dx = dy act'(x)
void activation_backward(Activation kind, std::span<const float> x, std::span<const float> dy,
                         std::span<float> dx);

/// y = act(gate) * up  (SwiGLU for kSilu, GeGLU for the others; Shazeer 2020, arXiv:2002.05202)
void gated(Activation kind, std::span<const float> gate, std::span<const float> up,
           std::span<float> y);
/// dgate = dy up act'(gate),  dup = dy act(gate)
void gated_backward(Activation kind, std::span<const float> gate, std::span<const float> up,
                    std::span<const float> dy, std::span<float> dgate, std::span<float> dup);

}  // namespace inlay::kernels
