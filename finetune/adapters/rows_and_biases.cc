// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/rows_and_biases.h"

#include <algorithm>
#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/linear.h"

namespace inlay {
namespace {

Tensor row_of(const Tensor& table, std::size_t row) {
  const auto r = static_cast<i64>(row);
  return table.slice(0, r, r + 1);
}

}  // namespace

void ReplacedRows::put_into(const Tensor& rows, i64 begin) const {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const i64 row = ids[i] - begin;
    if (row >= 0 && row < rows.dim(0)) {
      rows.slice(0, row, row + 1).copy_from(row_of(values, i));
    }
  }
}

EmbeddingWithRows::EmbeddingWithRows(std::unique_ptr<EmbeddingLike> base, ReplacedRows rows)
    : base_(std::move(base)), replaced_(std::move(rows)) {}

Tensor EmbeddingWithRows::forward(const Indices& ids, const Pass& pass) const {
  const Tensor y = base_->forward(ids, pass);
  if (!pass.adapters) {
    return y;
  }
  const std::span<const i32> list = ids.host();
  for (std::size_t t = 0; t < list.size(); ++t) {
    // The last of equal ids counts, as where the rows are written one after the other.
    const auto it = std::ranges::find(replaced_.ids.rbegin(), replaced_.ids.rend(), list[t]);
    if (it != replaced_.ids.rend()) {
      const auto i = static_cast<std::size_t>(replaced_.ids.rend() - it) - 1;
      row_of(y, t).copy_from(row_of(replaced_.values, i));
    }
  }
  return y;
}

Tensor EmbeddingWithRows::weight_rows(i64 begin, i64 end) const {
  const Tensor rows = base_->weight_rows(begin, end).clone();
  replaced_.put_into(rows, begin);
  return rows;
}

std::unique_ptr<LinearLike> EmbeddingWithRows::tied_head() const {
  return std::make_unique<TiedHead>(
      std::make_unique<LinearWithRows>(base_->tied_head(), replaced_));
}

void EmbeddingWithRows::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
}

LinearWithRows::LinearWithRows(std::unique_ptr<LinearLike> base, ReplacedRows rows)
    : base_(std::move(base)), replaced_(std::move(rows)) {}

Tensor LinearWithRows::product(const Tensor& x, const Pass& pass) const {
  const Tensor y = base_->product(x, pass);
  if (!pass.adapters) {
    return y;
  }
  const Tensor columns = linear(x, replaced_.values, {}, WeightLayout::kOutIn, GemmCompute::kF32,
                                pass.keep);  // [..., ids]
  for (i64 i = 0; i < columns.dim(-1); ++i) {
    const i64 id = replaced_.ids[i];
    y.slice(-1, id, id + 1).copy_from(columns.slice(-1, i, i + 1));
  }
  return y;
}

Tensor LinearWithRows::forward(const Tensor& x, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->forward(x, pass);
  }
  Tensor y = product(x, pass);
  return bias().defined() ? add_row(std::move(y), bias()) : y;
}

Tensor LinearWithRows::weight_rows(i64 begin, i64 end) const {
  const Tensor rows = base_->weight_rows(begin, end).clone();
  replaced_.put_into(rows, begin);
  return rows;
}

void LinearWithRows::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
}

LinearWithBias::LinearWithBias(std::unique_ptr<LinearLike> base, Tensor bias)
    : base_(std::move(base)), bias_(std::move(bias)) {}

Tensor LinearWithBias::forward(const Tensor& x, const Pass& pass) const {
  return pass.adapters ? add_row(base_->product(x, pass), bias_) : base_->forward(x, pass);
}

std::optional<Projection> LinearWithBias::projection(const Pass& pass) const {
  std::optional<Projection> projection = base_->projection(pass);
  if (projection && pass.adapters) {
    projection->bias = bias_;
  }
  return projection;
}

void LinearWithBias::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
}

}  // namespace inlay
