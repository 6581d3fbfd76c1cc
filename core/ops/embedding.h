// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/tensor/frozen_matrix.h"
#include "core/tensor/host_list.h"

namespace inlay {

/// Rows of a table: table [V, C] of f32, bf16 or f16, ids in [0, V); returns [ids, C] f32.
/// Saved for backward: the ids. dtable[ids[t]] += dy[t], in the order of t.
Tensor embedding(const Tensor& table, const Indices& ids);

/// The same from a frozen table in any storage.
Tensor embedding(const FrozenMatrix& table, const Indices& ids);

}  // namespace inlay
