// SPDX-License-Identifier: Apache-2.0
#include "core/ops/embedding.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/kernels/embedding.h"

namespace inlay {
namespace {

Tensor look_up(const kernels::MatrixRef& table, const Indices& ids) {
  INLAY_ASSERT(std::ranges::all_of(ids.host(), [&](i32 id) { return id >= 0 && id < table.rows; }));
  Tensor y = Tensor::empty({ids.size(), table.cols});
  on(y).embedding(table, ids.device(), y.out());
  return y;
}

}  // namespace

Tensor embedding(const Tensor& table, const Indices& ids) {
  return record("embedding", look_up(matrix_ref(table), ids), {table},
                [index = ids, shape = table.shape(), leaf = trainable_leaf(table)](const Tensor& dy,
                                                                                   Wants) -> Grads {
                  const Tensor so_far = gradient_so_far(leaf);
                  Tensor dtable = so_far.defined() ? so_far : Tensor::zeros(shape);
                  on(dtable).embedding_backward(index.device(), dy.in(), shape[1], dtable.out());
                  return {so_far.defined() ? Tensor() : dtable};
                });
}

Tensor embedding(const FrozenMatrix& table, const Indices& ids) {
  return look_up(table.ref(), ids);
}

}  // namespace inlay
