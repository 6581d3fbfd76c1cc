// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/output_scale.h"

#include <algorithm>

#include "core/error.h"
#include "core/kernels/cpu/rows/activation.isa.h"
#include "core/kernels/cpu/rows/output_scale.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kScaledGrain = 1 << 15;  // values a task handles: tens of microseconds
// A slice's sums pass through memory once for every four of its rows: they stay in the first-level
// cache, and so long a slice makes adding up all of them a few hundredths of the work.
constexpr i64 kMinSliceRows = 64;
constexpr i64 kMaxSlices = 64;
constexpr i64 kColumnGrain = 512;

i64 slice_rows(i64 rows) {
  return std::max(kMinSliceRows, (rows + kMaxSlices - 1) / kMaxSlices);
}

i64 slices_of(i64 rows) {
  const i64 each = slice_rows(rows);
  return (rows + each - 1) / each;
}

// body(slice, sums): each slice with its share of the scratch memory, `columns` floats.
void for_slices(i64 rows, i64 columns, std::span<float> scratch,
                FunctionRef<void(const RowSlice& slice, float* sums)> body) {
  INLAY_ASSERT(std::ssize(scratch) >= column_sums_scratch(rows, columns));
  const i64 each = slice_rows(rows);
  parallel_for(slices_of(rows), [&](i64 task) {
    body({task * each, std::min(each, rows - task * each)}, scratch.data() + task * columns);
  });
}

// Columns [first, first + out.size()) of the sums of all slices.
void add_slices(i64 rows, i64 columns, std::span<const float> scratch, i64 first,
                std::span<float> out) {
  const i64 slices = slices_of(rows);
  parallel_rows(std::ssize(out), kColumnGrain, [&](i64 begin, i64 end) {
    for (i64 c = begin; c < end; ++c) {
      double sum = 0.0;
      for (i64 slice = 0; slice < slices; ++slice) {
        sum += static_cast<double>(scratch[slice * columns + first + c]);
      }
      out[c] = static_cast<float>(sum);
    }
  });
}

template <class Value>
void scale_rows(std::span<const Value> z, std::span<const float> factors,
                std::span<const float> bias, std::span<Value> y,
                void (*scaled)(const Value*, const float*, const float*, Value*, i64)) {
  const i64 columns = std::ssize(factors);
  const i64 rows = columns == 0 ? 0 : std::ssize(y) / columns;
  parallel_rows(rows, kScaledGrain / (columns + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 at = begin * columns; at < end * columns; at += columns) {
      scaled(z.data() + at, factors.data(), bias.empty() ? nullptr : bias.data(), y.data() + at,
             columns);
    }
  });
}

void gate_rows(const ScaledGate<float>& args, const RowSlice& slice, float* h) {
  INLAY_SELECT(activations).scaled_gate(args, slice.row, slice.rows, h);
}
void gate_rows(const ScaledGate<u16>& args, const RowSlice& slice, u16* h) {
  INLAY_SELECT(activations).scaled_gate_bf16(args, slice.row, slice.rows, h);
}
void gate_rows_backward(const ScaledGate<float>& args, const ScaledGateGradients<float>& out,
                        const RowSlice& slice, float* sums) {
  INLAY_SELECT(activations).scaled_gate_backward(args, out, slice.row, slice.rows, sums);
}
void gate_rows_backward(const ScaledGate<u16>& args, const ScaledGateGradients<u16>& out,
                        const RowSlice& slice, float* sums) {
  INLAY_SELECT(activations).scaled_gate_backward_bf16(args, out, slice.row, slice.rows, sums);
}

}  // namespace

i64 column_sums_scratch(i64 rows, i64 columns) {
  return slices_of(rows) * columns;
}

void scale_output(std::span<const float> z, std::span<const float> factors,
                  std::span<const float> bias, std::span<float> y) {
  scale_rows(z, factors, bias, y, INLAY_SELECT(output_scale).scaled_row);
}

void scale_output_bf16(std::span<const u16> z, std::span<const float> factors,
                       std::span<const float> bias, std::span<u16> y) {
  scale_rows(z, factors, bias, y, INLAY_SELECT(output_scale).scaled_row_bf16);
}

void scale_output_backward(const ScaleBackward& args, std::span<float> scratch) {
  for_slices(args.rows, args.columns, scratch, [&](const RowSlice& slice, float* sums) {
    INLAY_SELECT(output_scale).backward(args, slice, sums);
  });
  if (args.z.f32 != nullptr || args.z.bf16 != nullptr) {
    add_slices(args.rows, args.columns, scratch, 0, args.dfactors);
  }
}

template <class Value>
void scaled_gate(const ScaledGate<Value>& args, std::span<Value> h) {
  // An exp costs about four of the other operations on a value.
  parallel_rows(args.rows, kScaledGrain / 4 / (args.width + 1) + 1, [&](i64 begin, i64 end) {
    gate_rows(args, {begin, end - begin}, h.data());
  });
}

template <class Value>
void scaled_gate_backward(const ScaledGate<Value>& args, const ScaledGateGradients<Value>& out,
                          std::span<float> scratch) {
  const i64 columns = 2 * args.width;
  for_slices(args.rows, columns, scratch, [&](const RowSlice& slice, float* sums) {
    gate_rows_backward(args, out, slice, sums);
  });
  add_slices(args.rows, columns, scratch, 0, out.dgate_factors);
  add_slices(args.rows, columns, scratch, args.width, out.dup_factors);
}

template void scaled_gate<float>(const ScaledGate<float>&, std::span<float>);
template void scaled_gate<u16>(const ScaledGate<u16>&, std::span<u16>);
template void scaled_gate_backward<float>(const ScaledGate<float>&,
                                          const ScaledGateGradients<float>&, std::span<float>);
template void scaled_gate_backward<u16>(const ScaledGate<u16>&, const ScaledGateGradients<u16>&,
                                        std::span<float>);

}  // namespace inlay::kernels
