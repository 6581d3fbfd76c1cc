// SPDX-License-Identifier: Apache-2.0
#include "core/ops/embedding.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/kernels/embedding.h"

namespace inlay {
namespace {

Tensor look_up(const kernels::MatrixRef& table, std::span<const i32> ids) {
  INLAY_ASSERT(std::ranges::all_of(ids, [&](i32 id) { return id >= 0 && id < table.rows; }));
  Tensor y = Tensor::empty({static_cast<i64>(ids.size()), table.cols});
  kernels::embedding(table, ids, y.mutable_values());
  return y;
}

}  // namespace

Tensor embedding(const Tensor& table, std::span<const i32> ids) {
  return record("embedding", look_up(matrix_ref(table), ids), {table},
                [index = std::vector<i32>(ids.begin(), ids.end()), shape = table.shape(),
                 leaf = wanting_leaf(table)](const Tensor& dy, Wants) -> Grads {
                  const Tensor so_far = gradient_so_far(leaf);
                  Tensor dtable = so_far.defined() ? so_far : Tensor::zeros(shape);
                  kernels::embedding_backward(index, dy.values(), shape[1],
                                              dtable.mutable_values());
                  return {so_far.defined() ? Tensor() : dtable};
                });
}

Tensor embedding(const FrozenMatrix& table, std::span<const i32> ids) {
  return look_up(table.ref(), ids);
}

}  // namespace inlay
