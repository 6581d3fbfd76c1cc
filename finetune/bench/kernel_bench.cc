// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/kernel_bench.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/autograd/graph.h"
#include "core/error.h"
#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/ops/projection.h"
#include "core/random.h"
#include "finetune/bench/onednn_bench.h"

namespace inlay {
namespace {

Tensor random_tensor(const Shape& shape, u64 key) {
  Tensor t = Tensor::empty(shape);
  fill_normal(t.mutable_values(), RandomKey(key), 0.0F, 1.0F);
  return t;
}

const QuantFormat& encodable(const std::string& name) {
  const QuantFormat* format = find_quant_format(name);
  if (format == nullptr || format->encode == nullptr) {
    std::string known;
    for (const std::string& each : encodable_formats()) {
      known += (known.empty() ? "" : ", ") + each;
    }
    throw ConfigError(str("--format: expected one of ", known, ", found \"", printable(name), "\"",
                          did_you_mean(name, encodable_formats())));
  }
  return *format;
}

// A call and its backward, and the two together.
struct Laps {
  Timing forward, backward, both;
};

Laps time_with_backward(i64 steps, FunctionRef<Tensor()> forward, const Tensor& dy) {
  Laps laps;
  for (i64 step = 0; step <= steps; ++step) {
    Laps one;
    Stopwatch watch;
    const Tensor y = forward();
    watch.lap(one.forward);
    backward(y, dy.clone());
    watch.lap(one.backward);
    if (step == 0) {
      continue;  // warming up
    }
    laps.both.append(
        {{one.forward.wall[0] + one.backward.wall[0]}, {one.forward.cpu[0] + one.backward.cpu[0]}});
    laps.forward.append(one.forward);
    laps.backward.append(one.backward);
  }
  return laps;
}

// The weight of a product: a dense f32 leaf, or something frozen.
struct Weight {
  Tensor dense;
  std::optional<FrozenMatrix> frozen;

  GemmCompute compute = GemmCompute::kF32;

  Tensor product(const Tensor& x) const {
    if (x.dtype() == DType::kBf16) {
      Projection layer;
      layer.weight = frozen ? *frozen : FrozenMatrix(dense);
      return project(x, {&layer, 1}, compute, DType::kBf16)[0];
    }
    return frozen ? linear(x, *frozen, {}, compute)
                  : linear(x, dense, {}, WeightLayout::kOutIn, compute);
  }
};

Weight make_weight(const GemmSizes& sizes) {
  Weight weight;
  weight.dense = random_tensor({sizes.columns, sizes.inner}, 2);
  weight.compute = sizes.compute;
  if (sizes.format.quantised != nullptr) {
    weight.frozen = sizes.format.quantised->encode(matrix_ref(weight.dense));
  } else if (sizes.format.dense != DType::kF32) {
    weight.frozen = FrozenMatrix(weight.dense.to(sizes.format.dense));
  }
  return weight;
}

}  // namespace

WeightFormat weight_format(const std::string& name) {
  for (const DType dense : {DType::kF32, DType::kBf16}) {
    if (dtype_name(dense) == name) {
      return {.name = name, .dense = dense};
    }
  }
  return {.name = name, .quantised = &encodable(name)};
}

std::vector<std::string> encodable_formats() {
  std::vector<std::string> names;
  for (const QuantFormat& format : quant_formats()) {
    if (format.encode != nullptr) {
      names.emplace_back(format.name);
    }
  }
  return names;
}

double format_bits(const std::string& format) {
  return encodable(format).bits_per_weight();
}

std::vector<KernelTiming> bench_attention(const AttentionSizes& s, i64 steps) {
  const i64 N = s.batch * s.length;
  const Tensor q = random_tensor({N, s.heads * s.head_dim}, 1);
  const Tensor k = random_tensor({N, s.kv_heads * s.head_dim}, 2);
  const Tensor v = random_tensor({N, s.kv_heads * s.head_dim}, 3);
  const Tensor dy = random_tensor({N, s.heads * s.head_dim}, 4);
  std::vector<Segment> segments;
  for (i64 b = 0; b < s.batch; ++b) {
    segments.push_back({b * s.length, s.length, b * s.length, s.length});
  }
  AttentionOptions options;
  options.heads = s.heads;
  options.kv_heads = s.kv_heads;
  options.head_dim = s.head_dim;
  options.compute = s.bf16 ? kernels::AttentionCompute::kBf16 : kernels::AttentionCompute::kF32;
  options.scale = 1.0F / std::sqrt(static_cast<float>(s.head_dim));
  for (const Tensor& t : {q, k, v}) {
    t.set_requires_grad(true);
  }
  const Laps laps = time_with_backward(
      steps,
      [&] {
        for (const Tensor& t : {q, k, v}) {
          t.set_grad({});
        }
        return attention(q, k, v, segments, options);
      },
      dy);
  const double pairs = static_cast<double>(s.length) * static_cast<double>(s.length + 1) / 2.0;
  const double flops = 4.0 * static_cast<double>(s.head_dim * s.heads * s.batch) * pairs;
  return {{"forward", laps.forward, flops, 0.0},
          {"backward", laps.backward, 2.5 * flops, 0.0},
          {"both", laps.both, 3.5 * flops, 0.0}};
}

std::vector<KernelTiming> bench_gemm(const GemmSizes& s, i64 steps) {
  if (s.bf16_values && !current_kernels().has_bf16_operands(s.compute)) {
    throw ConfigError(
        "--values: bf16 needs --compute-dtype bf16 and a processor that multiplies bf16");
  }
  const Weight weight = make_weight(s);
  const DType type = s.bf16_values ? DType::kBf16 : DType::kF32;
  const Tensor x = random_tensor({s.rows, s.inner}, 1).to(type);
  const Tensor dy = random_tensor({s.rows, s.columns}, 3).to(type);
  const double flops = 2.0 * static_cast<double>(s.rows * s.inner) * static_cast<double>(s.columns);
  const double bytes =
      static_cast<double>(weight.frozen ? weight.frozen->bytes() : weight.dense.bytes());
  const auto gradient_of = [&](const Tensor& leaf) {
    leaf.set_requires_grad(true);
    const Laps laps = time_with_backward(
        steps,
        [&] {
          leaf.set_grad({});
          return weight.product(x);
        },
        dy);
    leaf.set_requires_grad(false);
    return laps.backward;
  };
  std::vector<KernelTiming> out;
  out.push_back({"product", time_calls(steps, [&] { weight.product(x); }), flops, bytes});
  out.push_back({"input_gradient", gradient_of(x), flops, bytes});
  if (!weight.frozen && !s.bf16_values && s.compute != GemmCompute::kInt8) {
    out.push_back({"weight_gradient", gradient_of(weight.dense), flops, 0.0});
  }
#if defined(INLAY_ONEDNN)
  const std::vector<KernelTiming> yardstick = bench_onednn(s, steps);
  out.insert(out.end(), yardstick.begin(), yardstick.end());
#endif
  return out;
}

std::vector<KernelTiming> bench_quant(const std::string& format, i64 rows, i64 columns, i64 steps) {
  const QuantFormat& chosen = encodable(format);
  const Tensor dense = random_tensor({rows, columns}, 1);
  const Tensor x = random_tensor({1, columns}, 2);
  const FrozenMatrix stored = chosen.encode(matrix_ref(dense));
  const double f32_bytes = static_cast<double>(dense.bytes());
  return {{"encode", time_calls(steps, [&] { chosen.encode(matrix_ref(dense)); }), 0.0, f32_bytes},
          {"decode", time_calls(steps, [&] { stored.decode(0, rows); }), 0.0, f32_bytes},
          {"product", time_calls(steps, [&] { linear(x, stored); }),
           2.0 * static_cast<double>(dense.numel()), static_cast<double>(stored.bytes())}};
}

}  // namespace inlay
