// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/kernels/activation.h"
#include "core/random.h"

/// Element-by-element operations on f32 tensors. An operand passed by value may be overwritten when
/// nobody else holds it, so `add(std::move(x), y)` costs no memory. `keep`: how what is saved is
/// kept.
namespace inlay {

/// a + b; b has the shape of a. Saved for backward: nothing.
Tensor add(Tensor a, const Tensor& b);
/// a + factor * b, rounded once where the processor can. Saved: nothing.
Tensor add_scaled(Tensor a, const Tensor& b, float factor);
/// x[..., C] + row[C]. Saved: nothing.
Tensor add_row(Tensor x, const Tensor& row);
/// a * b, element by element. Saved: the factor whose partner wants a gradient, exactly.
Tensor mul(const Tensor& a, const Tensor& b);
/// x * factor. Saved: nothing.
Tensor scale(Tensor x, float factor);
/// x[..., C] * factors[C]. Saved: x when the factors want a gradient, the factors when x does.
Tensor scale_columns(const Tensor& x, const Tensor& factors, Keep keep = Keep::kExact);

/// Inverted dropout with probability p in [0, 1); the mask is a function of the key alone and is
/// drawn again in backward. Saved: nothing; x for the result's recipe.
Tensor dropout(const Tensor& x, float p, RandomKey key, Keep keep = Keep::kExact);

/// act(x): SiLU, GELU by erf or tanh (Hendrycks & Gimpel 2016, arXiv:1606.08415), ReLU and its
/// square. Saved: x.
Tensor activation(kernels::Activation kind, const Tensor& x, Keep keep = Keep::kExact);
/// act(gate) * up, element by element: SwiGLU, GeGLU (Shazeer 2020, arXiv:2002.05202). Both f32, or
/// both bf16, and so are the result and all gradients. Saved: gate, up; the result can be made
/// again from them, so it is not kept for the products that read it.
Tensor gated(kernels::Activation kind, const Tensor& gate, const Tensor& up,
             Keep keep = Keep::kExact);

/// The same of gate_up [..., 2 I], whose rows are those of gate and up one behind the other; returns
/// [..., I].
Tensor gated_rows(kernels::Activation kind, const Tensor& gate_up, Keep keep = Keep::kExact);

/// softmax over the last axis. Saved: the result.
Tensor softmax(const Tensor& x);

}  // namespace inlay
