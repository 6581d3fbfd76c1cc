// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Loops that do nothing but what the processor does best: the yardsticks that benchmarks hold a
/// kernel against. Each works for the calling thread alone, with the instruction set in use.
namespace inlay::kernels {

/// Multiply-adds of f32 that never leave the vector registers; returns the number of floating-point
/// operations done, two a multiply-add. The sink keeps them from being optimised away.
double fma_loop(i64 steps, float* sink);

/// The same with dot products of bf16 that are summed in f32: AMX tiles where there are any, else
/// vdpbf16ps. Returns 0, having done nothing, on a processor with neither.
double bf16_loop(i64 steps, float* sink);

/// The same with dot products of 8-bit integers that are summed in i32; two operations a product.
double int8_loop(i64 steps, float* sink);

/// Reads the values, and adds up all but the last few, as fast as they come from memory.
float read_loop(std::span<const float> values);

}  // namespace inlay::kernels
