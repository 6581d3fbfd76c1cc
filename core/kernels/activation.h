// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Activation functions over contiguous values, and the gated products built on them. The
/// backward forms read the inputs of the forward, never its result. An output may be an input.
namespace inlay::kernels {

enum class Activation : u8 {
  kSilu,      // x sigmoid(x)
  kGelu,      // x Phi(x), Phi by erf
  kGeluTanh,  // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  kRelu,      // max(x, 0)
  kRelu2,     // max(x, 0)^2 (So et al. 2021, arXiv:2109.08668, section 3)
};

/// y = act(x)
void activation(Activation kind, std::span<const float> x, std::span<float> y);
/// dx = dy act'(x); and y as above, unless it is empty
void activation_backward(Activation kind, std::span<const float> x, std::span<const float> dy,
                         std::span<float> dx, std::span<float> y = {});

/// Of bf16 (u16), computed in f32 and rounded at the end; subnormal values become zeros.
///
/// y = act(gate) * up  (SwiGLU for kSilu, GeGLU for the others; Shazeer 2020, arXiv:2002.05202)
void gated(Activation kind, std::span<const float> gate, std::span<const float> up,
           std::span<float> y);
void gated_bf16(Activation kind, std::span<const u16> gate, std::span<const u16> up,
                std::span<u16> y);
/// dgate = dy up act'(gate),  dup = dy act(gate);  and y as above, unless it is empty
void gated_backward(Activation kind, std::span<const float> gate, std::span<const float> up,
                    std::span<const float> dy, std::span<float> dgate, std::span<float> dup,
                    std::span<float> y = {});
void gated_backward_bf16(Activation kind, std::span<const u16> gate, std::span<const u16> up,
                         std::span<const u16> dy, std::span<u16> dgate, std::span<u16> dup,
                         std::span<u16> y = {});

/// The same where gate and up are the two halves of each row: gate_up [rows, 2 width], y and dy
/// [rows, width], dgate_up [rows, 2 width].
void gated_rows(Activation kind, std::span<const float> gate_up, i64 width, std::span<float> y);
void gated_rows_bf16(Activation kind, std::span<const u16> gate_up, i64 width, std::span<u16> y);
void gated_rows_backward(Activation kind, std::span<const float> gate_up, i64 width,
                         std::span<const float> dy, std::span<float> dgate_up,
                         std::span<float> y = {});
void gated_rows_backward_bf16(Activation kind, std::span<const u16> gate_up, i64 width,
                              std::span<const u16> dy, std::span<u16> dgate_up,
                              std::span<u16> y = {});

}  // namespace inlay::kernels
