// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/tensor/host_list.h"

namespace inlay {

/// into[rows[i]] = x[i], in the memory of `into`: what a cache does with new keys and values.
///   into [R, C] f32, contiguous   x [N, C] f32, rows contiguous or not   rows [N], each below R
///   and there once
/// Not recorded, and so only for what no gradient passes through.
void write_rows(const Tensor& into, const Indices& rows, const Tensor& x);

}  // namespace inlay
