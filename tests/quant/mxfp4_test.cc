// SPDX-License-Identifier: Apache-2.0

// MXFP4 in both of its orders: GGUF's blocks and those of gpt-oss's safetensors.

#include "quant/mxfp4.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/kernels/gemm.h"
#include "core/random.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

constexpr std::array<float, 8> kMagnitudes = {0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F};

float value_of(u32 code, u32 scale) {
  const float magnitude = std::ldexp(kMagnitudes[code & 7U], static_cast<int>(scale) - 127);
  return (code & 8U) != 0U ? -magnitude : magnitude;
}

// Random codes of a matrix, and a scale for each 32 of them.
struct Codes {
  i64 rows, cols;
  std::vector<u8> codes, scales;

  Codes(i64 r, i64 c, i64 least_scale, i64 scale_count) : rows(r), cols(c) {
    for (i64 i = 0; i < rows * cols; ++i) {
      codes.push_back(static_cast<u8>(random_bits(RandomKey(8), i) % 16));
    }
    for (i64 b = 0; b < rows * cols / 32; ++b) {
      scales.push_back(static_cast<u8>(least_scale + random_bits(RandomKey(9), b) % scale_count));
    }
  }
  std::vector<float> values() const {
    std::vector<float> out;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      out.push_back(value_of(codes[i], scales[i / 32]));
    }
    return out;
  }
  // The scale, then values i and i + 16 in a byte.
  FrozenMatrix as_gguf() const {
    std::vector<u8> bytes;
    for (std::size_t b = 0; b < scales.size(); ++b) {
      bytes.push_back(scales[b]);
      for (std::size_t i = 0; i < 16; ++i) {
        bytes.push_back(static_cast<u8>(codes[b * 32 + i] | codes[b * 32 + i + 16] << 4));
      }
    }
    MatrixParts parts;
    parts.format = kernels::MatrixFormat::kMxfp4;
    parts.rows = rows;
    parts.cols = cols;
    parts.row_bytes = cols / 32 * 17;
    parts.data =
        Tensor::from_bytes(std::as_bytes(std::span(bytes)), {std::ssize(bytes)}, DType::kU8);
    return FrozenMatrix(parts);
  }
  // Values 2 i and 2 i + 1 in a byte, and the scales apart.
  FrozenMatrix as_safetensors() const {
    std::vector<u8> bytes;
    for (std::size_t i = 0; i < codes.size(); i += 2) {
      bytes.push_back(static_cast<u8>(codes[i] | codes[i + 1] << 4));
    }
    const auto tensor = [](const std::vector<u8>& from) {
      return Tensor::from_bytes(std::as_bytes(std::span(from)), {std::ssize(from)}, DType::kU8);
    };
    return mxfp4_matrix(tensor(bytes), tensor(scales), rows, cols);
  }
};

TEST(Mxfp4, BothOrdersDecodeToTheDefinition) {
  for_each_isa([] {
    // All scales whose values are finite; the smallest make subnormal numbers.
    const Codes codes(64, 96, 0, 252);
    EXPECT_EQ(codes.as_gguf().decode(0, 64).to_vector(), codes.values());
    EXPECT_EQ(codes.as_safetensors().decode(0, 64).to_vector(), codes.values());
  });
}

// The block's bytes are (73 i + 41) mod 256, the first 123: decoded by gguf-py.
TEST(Mxfp4, ABlockDecodesAsGgufPyDecodesIt) {
  std::array<u8, 17> block;
  for (std::size_t i = 0; i < block.size(); ++i) {
    block[i] = static_cast<u8>(73 * i + 41);
  }
  block[0] = 123;
  const std::array<float, 32> expected = {
      0.0625F,   -0.09375F, 0.125F,  -0.1875F,  0.25F,     -0.375F,  0.0F,    0.03125F,
      -0.0625F,  0.09375F,  -0.125F, 0.1875F,   -0.25F,    0.375F,   0.0F,    -0.03125F,
      0.375F,    -0.09375F, 0.0F,    0.125F,    -0.03125F, -0.1875F, 0.0625F, 0.375F,
      -0.09375F, 0.0F,      0.125F,  -0.03125F, -0.1875F,  0.0625F,  0.375F,  -0.09375F};
  kernels::MatrixRef ref;
  ref.format = kernels::MatrixFormat::kMxfp4;
  ref.rows = 1;
  ref.cols = 32;
  ref.row_bytes = 17;
  ref.data = block.data();
  std::array<float, 32> found;
  kernels::decode_row(ref, 0, 0, 32, found.data());
  EXPECT_EQ(found, expected);
}

TEST(Mxfp4, ProductsReadWhatIsDecoded) {
  for_each_isa([] {
    const Codes codes(40, 128, 118, 9);
    for (const FrozenMatrix& matrix : {codes.as_gguf(), codes.as_safetensors()}) {
      const Tensor dense = matrix.decode(0, 40);
      for (const i64 M : {1, 3, 40}) {
        std::vector<float> x(M * 128);
        fill_uniform(x, RandomKey(2), -1.0F, 1.0F);
        const auto product = [&](const kernels::MatrixRef& b) {
          std::vector<float> y(M * 40);
          kernels::GemmArgs args;
          args.M = M;
          args.N = 40;
          args.K = 128;
          args.a = x.data();
          args.a_row_stride = 128;
          args.b = b;
          args.b_transposed = true;
          args.c = y.data();
          args.c_row_stride = 40;
          std::vector<float> scratch(kernels::gemm_scratch(args));
          kernels::gemm(args, scratch);
          return y;
        };
        EXPECT_EQ(product(matrix.ref()), product(matrix_ref(dense)));
      }
    }
  });
}

}  // namespace
}  // namespace inlay
