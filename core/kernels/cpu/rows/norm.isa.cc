// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/norm.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

// Values added in f32 lanes before they join the double sum: 8 to 16 a lane, so the f32 part adds
// no error that counts.
constexpr i64 kBlock = 128;

template <class Term>
double blocked_sum(i64 n, Term term) {
  double sum = 0.0;
  for (i64 first = 0; first < n; first += kBlock) {
    Vec part = Vec::zero();
    sweep(first + kBlock < n ? kBlock : n - first,
          [&](i64 i, auto lanes) { part = part + term(first + i, lanes); });
    sum += static_cast<double>(reduce_add(part));
  }
  return sum;
}

double sum(const float* x, i64 n) {
  return blocked_sum(n, [&](i64 i, auto lanes) { return load(x + i, lanes); });
}

Vec only(Vec v, AllLanes) {
  return v;
}
Vec only(Vec v, i64 n) {  // lanes past the end were loaded as 0, and 0 - mean is not 0
  float lanes[Vec::kLanes];
  v.store(lanes);
  return Vec::load(lanes, n);
}

double sum_of_squared_distances(const float* x, float from, i64 n) {
  const Vec centre = Vec::set(from);
  return blocked_sum(n, [&](i64 i, auto lanes) {
    const Vec d = only(load(x + i, lanes) - centre, lanes);
    return d * d;
  });
}

// Calls body(factor), factor(i, lanes) being the factors of columns i and on, in the form that this
// row needs: a loop holds no branch.
template <class Body>
void with_factors(const NormRow& row, Body body) {
  const float* weight = row.weight;
  if (weight == nullptr) {
    body([](i64 /*i*/, auto /*lanes*/) { return Vec::set(1.0F); });
  } else if (row.offset == 0.0F) {
    body([weight](i64 i, auto lanes) { return load(weight + i, lanes); });
  } else {
    const Vec offset = Vec::set(row.offset);
    body([weight, offset](i64 i, auto lanes) { return offset + load(weight + i, lanes); });
  }
}

void apply(const float* x, const NormRow& row, float mean, float rstd, const float* addend,
           float* y, i64 n) {
  const Vec m = Vec::set(mean);
  const Vec r = Vec::set(rstd);
  const float* bias = row.bias;
  with_factors(row, [&](auto factor) {
    sweep(n, [&](i64 i, auto lanes) {
      Vec v = (load(x + i, lanes) - m) * r * factor(i, lanes);
      v = bias == nullptr ? v : v + load(bias + i, lanes);
      store(addend == nullptr ? v : v + load(addend + i, lanes), y + i, lanes);
    });
  });
}

template <class Factor>
void backward_with(Factor factor, const float* x, float mean, float rstd, const float* dy,
                   bool centred, float* dx, i64 n) {
  const Vec m = Vec::set(mean);
  const Vec r = Vec::set(rstd);
  // Both means are known before the first store: dx may be written over dy.
  const double along = blocked_sum(n, [&](i64 i, auto lanes) {
    return load(dy + i, lanes) * factor(i, lanes) * ((load(x + i, lanes) - m) * r);
  });
  const double level = !centred ? 0.0 : blocked_sum(n, [&](i64 i, auto lanes) {
    return load(dy + i, lanes) * factor(i, lanes);
  });
  const Vec mean_along = Vec::set(static_cast<float>(along / static_cast<double>(n)));
  const Vec mean_level = Vec::set(static_cast<float>(level / static_cast<double>(n)));
  sweep(n, [&](i64 i, auto lanes) {
    const Vec normal = (load(x + i, lanes) - m) * r;
    const Vec g = load(dy + i, lanes) * factor(i, lanes);
    store(r * (g - mean_level - normal * mean_along), dx + i, lanes);
  });
}

void backward(const float* x, const NormRow& row, float mean, float rstd, const float* dy,
              bool centred, float* dx, i64 n) {
  with_factors(row, [&](auto factor) { backward_with(factor, x, mean, rstd, dy, centred, dx, n); });
}

void weight_block(const float* x, const float* mean, const float* rstd, const float* dy, i64 stride,
                  i64 rows, i64 columns, double* out) {
  for (i64 c = 0; c < columns; ++c) {
    out[c] = 0.0;
  }
  constexpr i64 kRowsInFloat = 16;
  for (i64 first = 0; first < rows; first += kRowsInFloat) {
    const i64 last = first + kRowsInFloat < rows ? first + kRowsInFloat : rows;
    float part[64] = {};
    for (i64 row = first; row < last; ++row) {
      const Vec m = Vec::set(mean == nullptr ? 0.0F : mean[row]);
      const Vec r = Vec::set(rstd[row]);
      sweep(columns, [&](i64 c, auto lanes) {
        const Vec normal = (load(x + row * stride + c, lanes) - m) * r;
        store(fma(load(dy + row * stride + c, lanes), normal, load(part + c, lanes)), part + c,
              lanes);
      });
    }
    for (i64 c = 0; c < columns; ++c) {
      out[c] += static_cast<double>(part[c]);
    }
  }
}

}  // namespace

extern const NormTable norms = {sum, sum_of_squared_distances, apply, backward, weight_block};

}  // namespace inlay::kernels::INLAY_ISA
