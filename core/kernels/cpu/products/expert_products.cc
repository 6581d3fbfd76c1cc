// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "core/kernels/cpu/products/gemm_schemes.h"
#include "core/kernels/experts.h"

// A grouped product is the products of its groups, each by whatever scheme suits its number of
// rows: so that the bits are those of `gemm`, and a decoder's few rows read, of all experts, the
// chosen ones alone, in one parallel region.
namespace inlay::kernels {
namespace {

// The products of the expert's rows [begin, end).
GemmArgs of_rows(const ExpertProduct& product, i64 begin, i64 end) {
  GemmArgs args = product;
  if (product.sums_rows) {
    args.K = end - begin;
    args.a += begin * args.a_col_stride;
    args.b.rows = end - begin;
    args.b.data = static_cast<const u8*>(args.b.data) + begin * args.b.row_bytes;
    return args;
  }
  args.M = end - begin;
  args.a += begin * args.a_row_stride;
  args.c += begin * args.c_row_stride;
  if (args.addend != nullptr) {
    args.addend += begin * args.addend_row_stride;
  }
  return args;
}

bool alike(const ExpertProduct& a, const ExpertProduct& b) {
  return a.sums_rows == b.sums_rows && a.M == b.M && a.N == b.N && a.K == b.K &&
         a.b.format == b.b.format && a.b_transposed == b.b_transposed &&
         a.more.size() == b.more.size();
}

}  // namespace

i64 expert_products_scratch(std::span<const ExpertProduct> products, i64 most_rows) {
  i64 most = 0;
  const ExpertProduct* last = nullptr;
  for (const ExpertProduct& product : products) {
    // Experts are alike: one of them tells for all.
    if (last != nullptr && alike(*last, product)) {
      continue;
    }
    last = &product;
    // A scheme for few rows may want more than the one for many.
    for (const i64 rows : {most_rows, kFewRows + 1, kFewRows, i64{1}}) {
      if (rows <= most_rows) {
        most = std::max(most, gemm_scratch(of_rows(product, 0, rows)));
      }
    }
  }
  return most;
}

void expert_products(std::span<const ExpertProduct> products, i64 /*most_rows*/,
                     std::span<const i32> offsets, std::span<float> scratch) {
  std::vector<GemmArgs> chosen;
  // The rows of A by `more` terms are those of the product.
  std::vector<std::vector<GemmTerm>> terms;
  for (const ExpertProduct& product : products) {
    const i64 begin = offsets[product.expert], end = offsets[product.expert + 1];
    if (begin == end && !product.sums_rows) {
      continue;
    }
    GemmArgs args = of_rows(product, begin, end);
    if (!product.more.empty()) {
      std::vector<GemmTerm>& more = terms.emplace_back(product.more.begin(), product.more.end());
      for (GemmTerm& term : more) {
        term.a += begin * term.a_row_stride;
      }
      args.more = more;
    }
    chosen.push_back(args);
  }
  gemm_together(chosen, scratch);
}

}  // namespace inlay::kernels
