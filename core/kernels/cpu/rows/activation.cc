// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/activation.h"

#include "core/kernels/cpu/rows/activation.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// Values a task handles: a quarter of what elementwise.cc gives one, since an exp costs about ten
// times an addition.
constexpr i64 kActivationGrain = 1 << 13;

// The values from `begin` on, if there are any.
template <class Value>
Value* part(std::span<Value> values, i64 begin) {
  return values.empty() ? nullptr : values.data() + begin;
}

// body(row) for every row of y, of `width` values each, in tasks of about kActivationGrain values.
void for_gated_rows(std::size_t values, i64 width, FunctionRef<void(i64 row)> body) {
  const i64 rows = width == 0 ? 0 : static_cast<i64>(values) / width;
  parallel_rows(rows, kActivationGrain / (width + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      body(row);
    }
  });
}

}  // namespace

void activation(Activation kind, std::span<const float> x, std::span<float> y) {
  parallel_rows(static_cast<i64>(x.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations).forward(kind, x.data() + begin, y.data() + begin, end - begin);
  });
}

void activation_backward(Activation kind, std::span<const float> x, std::span<const float> dy,
                         std::span<float> dx, std::span<float> y) {
  parallel_rows(static_cast<i64>(x.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations)
        .backward(kind, x.data() + begin, dy.data() + begin, dx.data() + begin, part(y, begin),
                  end - begin);
  });
}

void gated(Activation kind, std::span<const float> gate, std::span<const float> up,
           std::span<float> y) {
  parallel_rows(static_cast<i64>(y.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations)
        .gated(kind, gate.data() + begin, up.data() + begin, y.data() + begin, end - begin);
  });
}

void gated_bf16(Activation kind, std::span<const u16> gate, std::span<const u16> up,
                std::span<u16> y) {
  parallel_rows(static_cast<i64>(y.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations)
        .gated_bf16(kind, gate.data() + begin, up.data() + begin, y.data() + begin, end - begin);
  });
}

void gated_backward(Activation kind, std::span<const float> gate, std::span<const float> up,
                    std::span<const float> dy, std::span<float> dgate, std::span<float> dup,
                    std::span<float> y) {
  parallel_rows(static_cast<i64>(dy.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations)
        .gated_backward(kind, gate.data() + begin, up.data() + begin, dy.data() + begin,
                        dgate.data() + begin, dup.data() + begin, part(y, begin), end - begin);
  });
}

void gated_backward_bf16(Activation kind, std::span<const u16> gate, std::span<const u16> up,
                         std::span<const u16> dy, std::span<u16> dgate, std::span<u16> dup,
                         std::span<u16> y) {
  parallel_rows(static_cast<i64>(dy.size()), kActivationGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(activations)
        .gated_backward_bf16(kind, gate.data() + begin, up.data() + begin, dy.data() + begin,
                             dgate.data() + begin, dup.data() + begin, part(y, begin), end - begin);
  });
}

void gated_rows(Activation kind, std::span<const float> gate_up, i64 width, std::span<float> y) {
  for_gated_rows(y.size(), width, [&](i64 row) {
    const float* gate = gate_up.data() + 2 * row * width;
    INLAY_SELECT(activations).gated(kind, gate, gate + width, y.data() + row * width, width);
  });
}

void gated_rows_bf16(Activation kind, std::span<const u16> gate_up, i64 width, std::span<u16> y) {
  for_gated_rows(y.size(), width, [&](i64 row) {
    const u16* gate = gate_up.data() + 2 * row * width;
    INLAY_SELECT(activations).gated_bf16(kind, gate, gate + width, y.data() + row * width, width);
  });
}

void gated_rows_backward(Activation kind, std::span<const float> gate_up, i64 width,
                         std::span<const float> dy, std::span<float> dgate_up, std::span<float> y) {
  for_gated_rows(dy.size(), width, [&](i64 row) {
    const float* gate = gate_up.data() + 2 * row * width;
    float* dgate = dgate_up.data() + 2 * row * width;
    INLAY_SELECT(activations)
        .gated_backward(kind, gate, gate + width, dy.data() + row * width, dgate, dgate + width,
                        part(y, row * width), width);
  });
}

void gated_rows_backward_bf16(Activation kind, std::span<const u16> gate_up, i64 width,
                              std::span<const u16> dy, std::span<u16> dgate_up, std::span<u16> y) {
  for_gated_rows(dy.size(), width, [&](i64 row) {
    const u16* gate = gate_up.data() + 2 * row * width;
    u16* dgate = dgate_up.data() + 2 * row * width;
    INLAY_SELECT(activations)
        .gated_backward_bf16(kind, gate, gate + width, dy.data() + row * width, dgate,
                             dgate + width, part(y, row * width), width);
  });
}

}  // namespace inlay::kernels
