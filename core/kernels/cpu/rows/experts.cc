// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/experts.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/cpu/rows/activation.isa.h"
#include "core/kernels/cpu/rows/experts.isa.h"
#include "core/kernels/softmax.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// Values of rows that a task moves or multiplies.
constexpr i64 kExpertValuesATask = 1 << 14;

template <class Body>
void expert_rows_each(i64 rows, i64 width, Body body) {
  parallel_rows(rows, kExpertValuesATask / std::max<i64>(1, width) + 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      body(r);
    }
  });
}

// The k largest of z, the largest first; of equals the one that comes first.
void choose(const float* z, i64 E, i64 k, i32* chosen) {
  i64 count = 0;
  for (i64 e = 0; e < E; ++e) {
    i64 at = count;
    while (at > 0 && z[chosen[at - 1]] < z[e]) {
      --at;
    }
    if (at == k) {
      continue;
    }
    count = std::min(count + 1, k);
    std::copy_backward(chosen + at, chosen + count - 1, chosen + count);
    chosen[at] = static_cast<i32>(e);
  }
}

}  // namespace

void route(const RouterParams& params, std::span<const float> logits, std::span<i32> chosen,
           std::span<float> weights, std::span<float> probabilities) {
  const i64 E = params.experts, k = params.chosen;
  if (!params.normalised) {
    softmax(logits, E, probabilities);
  }
  expert_rows_each(static_cast<i64>(chosen.size()) / k, E, [&](i64 row) {
    const float* z = logits.data() + row * E;
    i32* to = chosen.data() + row * k;
    float* w = weights.data() + row * k;
    choose(z, E, k, to);
    double sum = 0.0;
    for (i64 j = 0; j < k; ++j) {
      w[j] = params.normalised ? std::exp(z[to[j]] - z[to[0]]) : probabilities[row * E + to[j]];
      sum += static_cast<double>(w[j]);
    }
    for (i64 j = 0; j < k && params.normalised; ++j) {
      w[j] = static_cast<float>(static_cast<double>(w[j]) / sum);
    }
  });
}

void route_backward(const RouterParams& params, std::span<const i32> chosen,
                    std::span<const float> weights, std::span<const float> probabilities,
                    std::span<const float> dweights, std::span<float> dlogits) {
  const i64 E = params.experts, k = params.chosen;
  expert_rows_each(static_cast<i64>(chosen.size()) / k, E, [&](i64 row) {
    const i32* to = chosen.data() + row * k;
    const float* w = weights.data() + row * k;
    const float* dw = dweights.data() + row * k;
    float* dz = dlogits.data() + row * E;
    double level = 0.0;
    for (i64 j = 0; j < k; ++j) {
      level += static_cast<double>(w[j]) * static_cast<double>(dw[j]);
    }
    for (i64 e = 0; e < E; ++e) {
      dz[e] = params.normalised ? 0.0F : -probabilities[row * E + e] * static_cast<float>(level);
    }
    for (i64 j = 0; j < k; ++j) {
      dz[to[j]] += w[j] * (params.normalised ? dw[j] - static_cast<float>(level) : dw[j]);
    }
  });
}

void sort_by_expert(const RouterParams& params, std::span<const i32> chosen, std::span<i32> offsets,
                    std::span<i32> source, std::span<i32> pair, std::span<i32> place) {
  // Counting sort, by one task: a pass over a few numbers a row.
  parallel_rows(1, 1, [&](i64, i64) {
    std::ranges::fill(offsets, 0);
    for (const i32 e : chosen) {
      ++offsets[e + 1];
    }
    for (i64 e = 0; e < params.experts; ++e) {
      offsets[e + 1] += offsets[e];
    }
    for (i64 p = 0; p < std::ssize(chosen); ++p) {
      // For now offsets[e] is the next free row of expert e: in the end it is where e + 1 begins.
      const i32 r = offsets[chosen[p]]++;
      source[r] = static_cast<i32>(p / params.chosen);
      pair[r] = static_cast<i32>(p);
      place[p] = r;
    }
    std::copy_backward(offsets.begin(), offsets.end() - 1, offsets.end());
    offsets[0] = 0;
  });
}

void combine_rows(std::span<const float> z, i64 width, i64 chosen, std::span<const i32> place,
                  std::span<const float> weights, std::span<const float> addend,
                  std::span<float> y) {
  const ExpertRowsTable& k = INLAY_SELECT(expert_rows);
  expert_rows_each(std::ssize(place) / chosen, width * chosen, [&](i64 row) {
    float* to = y.data() + row * width;
    if (!addend.empty() && addend.data() != y.data()) {
      std::copy_n(addend.data() + row * width, width, to);
    }
    for (i64 p = row * chosen; p < (row + 1) * chosen; ++p) {
      const float* from = z.data() + place[p] * width;
      const float w = weights.empty() ? 1.0F : weights[p];
      if (addend.empty() && p == row * chosen) {
        k.scaled(from, w, to, width);
      } else {
        k.add_scaled(from, w, to, width);
      }
    }
  });
}

void weigh_rows(std::span<const float> left, std::span<float> right, i64 width,
                std::span<const i32> pair, std::span<const float> weights, std::span<float> sums,
                bool add) {
  const ExpertRowsTable& k = INLAY_SELECT(expert_rows);
  expert_rows_each(std::ssize(pair), width, [&](i64 r) {
    float* row = right.data() + r * width;
    if (!sums.empty()) {
      const auto sum = static_cast<float>(k.dot(left.data() + r * width, row, width));
      sums[pair[r]] = add ? sums[pair[r]] + sum : sum;
    }
    if (!weights.empty()) {
      k.scaled(row, weights[pair[r]], row, width);
    }
  });
}

void add_bias_dots(std::span<const float> bias, std::span<const float> dy, i64 width,
                   std::span<const i32> offsets, std::span<const i32> pair, std::span<float> sums) {
  const ExpertRowsTable& k = INLAY_SELECT(expert_rows);
  parallel_for(std::ssize(offsets) - 1, [&](i64 e) {
    for (i64 r = offsets[e]; r < offsets[e + 1]; ++r) {
      sums[pair[r]] +=
          static_cast<float>(k.dot(bias.data() + e * width, dy.data() + r * width, width));
    }
  });
}

void expert_column_sums(std::span<const float> dy, i64 width, std::span<const i32> offsets,
                        std::span<float> out, bool add) {
  const ExpertRowsTable& k = INLAY_SELECT(expert_rows);
  parallel_for(std::ssize(offsets) - 1, [&](i64 e) {
    float* to = out.data() + e * width;
    if (!add) {
      std::fill_n(to, width, 0.0F);
    }
    for (i64 r = offsets[e]; r < offsets[e + 1]; ++r) {
      k.add_scaled(dy.data() + r * width, 1.0F, to, width);
    }
  });
}

void scale_choices(std::span<const float> scale, std::span<const i32> chosen,
                   std::span<const float> weights, std::span<float> out) {
  parallel_rows(std::ssize(chosen), kExpertValuesATask, [&](i64 begin, i64 end) {
    for (i64 p = begin; p < end; ++p) {
      out[p] = scale[chosen[p]] * weights[p];
    }
  });
}

void scale_choices_backward(std::span<const float> scale, std::span<const i32> chosen,
                            std::span<const float> weights, std::span<const float> dout,
                            std::span<float> dweights, std::span<float> dscale) {
  scale_choices(scale, chosen, dout, dweights);
  if (dscale.empty()) {
    return;
  }
  parallel_rows(1, 1, [&](i64, i64) {
    std::ranges::fill(dscale, 0.0F);
    for (i64 p = 0; p < std::ssize(chosen); ++p) {
      dscale[chosen[p]] += weights[p] * dout[p];
    }
  });
}

namespace {

// Values of a row at a time: what is interleaved is taken apart on the stack.
constexpr i64 kGatePiece = 256;

struct GatePiece {
  float gate[kGatePiece], up[kGatePiece];
};

void take_apart(const float* from, i64 n, GatePiece& piece) {
  for (i64 i = 0; i < n; ++i) {
    piece.gate[i] = from[2 * i];
    piece.up[i] = from[2 * i + 1];
  }
}

void put_together(const GatePiece& piece, i64 n, float* to) {
  for (i64 i = 0; i < n; ++i) {
    to[2 * i] = piece.gate[i];
    to[2 * i + 1] = piece.up[i];
  }
}

void gate_values(const ExpertGate& kind, const float* gate, const float* up, i64 n, float* h) {
  if (kind.clamped) {
    INLAY_SELECT(expert_rows).clamped(kind.alpha, kind.limit, gate, up, h, n);
  } else {
    INLAY_SELECT(activations).gated(kind.activation, gate, up, h, n);
  }
}

void gate_values_backward(const ExpertGate& kind, const float* gate, const float* up,
                          const float* dh, i64 n, float* dgate, float* dup, float* h) {
  if (kind.clamped) {
    INLAY_SELECT(expert_rows)
        .clamped_backward(kind.alpha, kind.limit, gate, up, dh, dgate, dup, h, n);
  } else {
    INLAY_SELECT(activations).gated_backward(kind.activation, gate, up, dh, dgate, dup, h, n);
  }
}

}  // namespace

void expert_gate(const ExpertGate& gate, std::span<const float> gate_up, i64 I,
                 std::span<float> h) {
  expert_rows_each(I == 0 ? 0 : std::ssize(h) / I, 4 * I, [&](i64 r) {
    const float* from = gate_up.data() + r * 2 * I;
    float* to = h.data() + r * I;
    if (!gate.interleaved) {
      gate_values(gate, from, from + I, I, to);
      return;
    }
    for (i64 i = 0; i < I; i += kGatePiece) {
      GatePiece piece;
      const i64 n = std::min(kGatePiece, I - i);
      take_apart(from + 2 * i, n, piece);
      gate_values(gate, piece.gate, piece.up, n, to + i);
    }
  });
}

void expert_gate_backward(const ExpertGate& gate, std::span<const float> gate_up,
                          std::span<const float> dh, i64 I, std::span<float> dgate_up,
                          std::span<float> h) {
  expert_rows_each(I == 0 ? 0 : std::ssize(dh) / I, 4 * I, [&](i64 r) {
    const float* from = gate_up.data() + r * 2 * I;
    const float* d = dh.data() + r * I;
    float* to = dgate_up.data() + r * 2 * I;
    float* again = h.empty() ? nullptr : h.data() + r * I;
    if (!gate.interleaved) {
      gate_values_backward(gate, from, from + I, d, I, to, to + I, again);
      return;
    }
    for (i64 i = 0; i < I; i += kGatePiece) {
      GatePiece piece;
      const i64 n = std::min(kGatePiece, I - i);
      take_apart(from + 2 * i, n, piece);
      gate_values_backward(gate, piece.gate, piece.up, d + i, n, piece.gate, piece.up,
                           again == nullptr ? nullptr : again + i);
      put_together(piece, n, to + 2 * i);
    }
  });
}

}  // namespace inlay::kernels
