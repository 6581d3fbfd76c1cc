// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/output_scale.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

template <class Value>
void scaled_row(const Value* z, const float* factors, const float* bias, Value* y, i64 n) {
  sweep(n, [&](i64 i, auto lanes) {
    Vec v = load(z + i, lanes) * load(factors + i, lanes);
    if (bias != nullptr) {
      v = v + load(bias + i, lanes);
    }
    store(v, y + i, lanes);
  });
}

/// kRows rows, whose sums go through memory once for all of them.
template <i64 kRows, class Dy, class Z, class Dz>
void backward_rows(const Dy* dy, const Z* z, const float* factors, Dz* dz, i64 columns,
                   float* sums) {
  sweep(columns, [&](i64 i, auto lanes) {
    const Vec factor = load(factors + i, lanes);
    Vec sum = z == nullptr ? Vec::zero() : load(sums + i, lanes);
    for (i64 r = 0; r < kRows; ++r) {
      const i64 at = r * columns + i;
      const Vec g = load(dy + at, lanes);
      if (z != nullptr) {
        sum = fma(g, load(z + at, lanes), sum);
      }
      store(g * factor, dz + at, lanes);
    }
    if (z != nullptr) {
      store(sum, sums + i, lanes);
    }
  });
}

template <class Dy, class Z, class Dz>
void backward_slice(const Dy* dy, const Z* z, Dz* dz, const ScaleBackward& args,
                    const RowSlice& slice, float* sums) {
  const i64 columns = args.columns;
  for (i64 i = 0; z != nullptr && i < columns; ++i) {
    sums[i] = 0.0F;
  }
  constexpr i64 kTogether = 4;
  const auto part = [&](auto* values, i64 row) {
    return values == nullptr ? nullptr : values + row * columns;
  };
  const float* factors = args.factors.data();
  i64 row = slice.row;
  const i64 end = slice.row + slice.rows;
  for (; row + kTogether <= end; row += kTogether) {
    backward_rows<kTogether>(part(dy, row), part(z, row), factors, part(dz, row), columns, sums);
  }
  for (; row < end; ++row) {
    backward_rows<1>(part(dy, row), part(z, row), factors, part(dz, row), columns, sums);
  }
}

void backward(const ScaleBackward& args, const RowSlice& slice, float* sums) {
  const auto of_dy = [&](const auto* dy, auto* dz) {
    if (args.z.bf16 != nullptr) {
      backward_slice(dy, args.z.bf16, dz, args, slice, sums);
    } else {
      backward_slice(dy, args.z.f32, dz, args, slice, sums);
    }
  };
  if (args.dy.bf16 != nullptr) {
    of_dy(args.dy.bf16, args.dz.bf16);
  } else if (args.dz.bf16 != nullptr) {
    of_dy(args.dy.f32, args.dz.bf16);
  } else {
    of_dy(args.dy.f32, args.dz.f32);
  }
}

}  // namespace

extern const OutputScaleTable output_scale = {scaled_row<float>, scaled_row<u16>, backward};

}  // namespace inlay::kernels::INLAY_ISA
