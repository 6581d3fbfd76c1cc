// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/products/gemm_bf16_kernels.h"
#include "core/kernels/cpu/products/gemm_kernels.h"
#include "core/kernels/cpu/products/gemm_pack.h"
#include "core/kernels/gemm.h"

// Operands of bf16 products, rounded while they are laid out (gemm_bf16_kernels.h says how). The
// steps of a piece are padded with zeros to a multiple of kernels.step.
namespace inlay::kernels {

class Bf16Packing {
 public:
  explicit Bf16Packing(const GemmBf16& kernels)
      : kernels_(kernels), packing_(INLAY_SELECT(kGemmPacking)) {}

  i64 padded(i64 K) const { return (K + kernels_.step - 1) / kernels_.step * kernels_.step; }

  /// Steps of B in the columns of whole panels but the last: panel p's at panels + p * stride,
  /// from its pair k2 on.
  void columns(const BPart& part, i64 k2, u32* panels, i64 stride) const;

  /// From one packed row of A with K steps to the next: not of a size at which many rows would
  /// meet in a few sets of a cache.
  i64 row_stride(i64 K) const {
    const i64 values = padded(K);
    return values % 256 == 0 ? values + 32 : values;
  }

  /// `count` rows of A, from row i and step k of the product on, row r at to + r * row_stride(K);
  /// then rows of zeros up to `height`.
  void rows(const GemmTerm& term, i64 i, i64 k, i64 K, i64 count, i64 height, u16* to) const;

  /// Whether K steps of whole tiles of A can be read in place.
  bool in_place(const GemmTerm& term, i64 K) const {
    return term.a_bf16 != nullptr && K == padded(K) && term.a_row_stride % 2 == 0;
  }

 private:
  void clear(u32* panel, i64 width, i64 k2, i64 end, i64 j) const;
  void transposed(const BPart& part, i64 k2, u32* panels, i64 stride) const;
  void turn_columns(const float** rows, i64 count, i64 pairs, u32* to, i64 width) const;
  const float* rounded_run(const BPart& part, i64 row, i64 k, i64 count, u16* run) const;
  void straight(const BPart& part, i64 k2, u32* panels, i64 stride) const;
  template <class Body>
  void for_columns(i64 count, u32* panels, i64 stride, i64 k2, Body body) const;
  void pairs(const BPart& part, i64 k, i64 j, i64 count, i64 k2, u32* to, i64 stride) const;
  void halves(const BPart& part, i64 k, i64 j, i64 count, i64 k2, u32* to, i64 stride) const;
  void turned(const TileA& a, i64 K, i64 count, u16* to, i64 stride) const;

  const GemmBf16& kernels_;
  const GemmPacking& packing_;
};

}  // namespace inlay::kernels
