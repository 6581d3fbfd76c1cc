// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "core/autograd/graph.h"
#include "core/tensor/host_list.h"

/// Recorded changes of shape and selections. Saved for backward: indices and shapes only.
namespace inlay {

/// The same elements under another shape; x contiguous. No copy.
Tensor reshape(const Tensor& x, const Shape& shape);

/// x [N, C], rows in [0, N): the rows x[rows[i]], in that order; returns [rows, C]. A row may
/// appear more than once.
Tensor gather_rows(const Tensor& x, const Indices& rows);

/// x [N, C] cut into column ranges of the given widths, which add up to C; views of x, no copy.
std::vector<Tensor> split_columns(const Tensor& x, std::span<const i64> widths);

/// x [N, heads * (w_0 + w_1 + …)]: the columns of every head cut into ranges of the given widths.
/// Returns for each width w the ranges of all heads end to end, [N, heads * w], copied.
std::vector<Tensor> split_heads(const Tensor& x, i64 heads, std::span<const i64> widths);

/// Vectors end to end.
Tensor concatenate(std::span<const Tensor> vectors);

/// x [R, V] -> x[:, ids[i]] as rows: returns [ids, R]. For LoRA's look-up in the transposed factor
/// A of an embedding.
Tensor gather_columns(const Tensor& x, const Indices& ids);

}  // namespace inlay
