// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/ops/linear.h"
#include "finetune/bench/timing.h"
#include "quant/formats.h"

/// Single kernels at a model's sizes, called as a training step calls them.
namespace inlay {

/// One kind of call: how long it took, and what it had to do.
struct KernelTiming {
  std::string name;  // "forward", "backward", "both", ...
  Timing timing;
  double flops = 0.0;  // useful operations a call; 0 where none are counted
  double bytes = 0.0;  // bytes a call reads; 0 where they do not matter
};

struct AttentionSizes {
  i64 batch = 1, length = 2048, heads = 9, kv_heads = 3, head_dim = 64;
  bool bf16 = false;  // multiply in bf16
};
/// Causal attention: "forward" (4 D operations a pair of a query and a key it sees, and head),
/// "backward" (10 D) and "both". Throws ShapeError for heads that are no multiple of kv_heads.
std::vector<KernelTiming> bench_attention(const AttentionSizes& sizes, i64 steps);

/// How a weight is stored: dense floats, or a format that can be encoded.
struct WeightFormat {
  std::string name = "f32";
  DType dense = DType::kF32;  // where `quantised` is null
  const QuantFormat* quantised = nullptr;
};
/// "f32", "bf16" or one of encodable_formats(). Throws ConfigError for a format there is not.
WeightFormat weight_format(const std::string& name);

struct GemmSizes {
  i64 rows = 2048, inner = 576, columns = 1536;
  WeightFormat format;
  GemmCompute compute = GemmCompute::kF32;
  bool bf16_values = false;  // x and the result, and their gradients
};
/// A linear layer x [rows, inner] with a weight [columns, inner]: "product" (x W^T),
/// "input_gradient" (dy W) and, where all is f32 and not multiplied in 8 bits, "weight_gradient"
/// (dy^T x); compiled with INLAY_ONEDNN, then the same by oneDNN (onednn_bench.h). Throws
/// ConfigError for bf16 values where no product takes them.
std::vector<KernelTiming> bench_gemm(const GemmSizes& sizes, i64 steps);

/// The names of the formats that weights can be encoded in.
std::vector<std::string> encodable_formats();

/// A weight [rows, columns] in a storage format: "encode" from f32 and "decode" to it, and
/// "product" with a single row, as decoding a token has it. Bytes are those of the f32 side for the
/// first two, of the stored weight for the product. Throws ConfigError for a format there is not.
std::vector<KernelTiming> bench_quant(const std::string& format, i64 rows, i64 columns, i64 steps);
/// Bits a weight of the format takes, scales included.
double format_bits(const std::string& format);

}  // namespace inlay
