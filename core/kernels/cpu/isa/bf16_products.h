// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

/// What multiplies operands that were rounded to bf16. Both sum in f32, so it is the same
/// arithmetic; but they sum in different orders, so the last bits are others. A processor may have
/// the instruction and be slower with it: some run it at half the rate of f32, where the host of a
/// virtual machine hides AMX and leaves AVX-512 BF16.
namespace inlay::kernels {

enum class Bf16Products : u8 {
  kNative,  // AMX tiles or AVX-512 BF16, where the processor has one of them; else as kF32
  kF32,     // multiply-adds of f32
};

/// kNative, unless set_bf16_products chose another.
Bf16Products bf16_products();
/// For a run as a whole: panels that were packed before are for what multiplied then. Not to be
/// called while kernels run.
void set_bf16_products(Bf16Products products);

}  // namespace inlay::kernels

/// INLAY_SELECT_DOTS for kernels of bf16: null, too, where f32 multiplies.
#define INLAY_SELECT_BF16(name)                                                 \
  (::inlay::kernels::bf16_products() == ::inlay::kernels::Bf16Products::kNative \
       ? INLAY_SELECT_DOTS(name)                                                \
       : nullptr)
