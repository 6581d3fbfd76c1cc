// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Element types: bf16 and f16 are carried as u16 bits. Both spans have one length.
namespace inlay::kernels {

void bf16_to_f32(std::span<const u16> x, std::span<float> y);
void f16_to_f32(std::span<const u16> x, std::span<float> y);
/// Round to nearest, ties to even; a NaN stays a (quiet) NaN.
void f32_to_bf16(std::span<const float> x, std::span<u16> y);
void f32_to_f16(std::span<const float> x, std::span<u16> y);

}  // namespace inlay::kernels
