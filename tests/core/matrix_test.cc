// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

using inlay::testing::IsaScope;
using inlay::testing::supported_isas;

/// The formats of whole blocks along a row.
std::vector<MatrixFormat> block_formats() {
  std::vector<MatrixFormat> formats;
  for (const MatrixFormatRow& row : kMatrixFormatRows) {
    if (row.in_gguf() && row.block.values > 1) {
      formats.push_back(row.format);
    }
  }
  return formats;
}

// Which of two NaNs a sum of them keeps is left to the compiler: all NaNs become one.
std::vector<u32> bits_of(const std::vector<float>& values) {
  std::vector<u32> bits(values.size());
  if (!values.empty()) {
    std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  }
  for (u32& word : bits) {
    word = (word & 0x7FFFFFFFU) > 0x7F800000U ? 0x7FC00000U : word;
  }
  return bits;
}

std::vector<float> decoded(const MatrixRef& m, i64 row, i64 col, i64 count) {
  std::vector<float> out(count);
  decode_row(m, row, col, count, out.data());
  return out;
}

std::vector<u8> random_bytes(i64 count, u64 seed) {
  std::vector<u8> bytes(count);
  for (i64 i = 0; i < count; ++i) {
    bytes[i] = static_cast<u8>(random_bits(RandomKey(seed), i));
  }
  return bytes;
}

MatrixRef gguf_matrix(MatrixFormat format, i64 rows, i64 cols, const std::vector<u8>& bytes) {
  const BlockSize block = block_size(format);
  MatrixRef m;
  m.format = format;
  m.rows = rows;
  m.cols = cols;
  m.data = bytes.data();
  m.row_bytes = cols / block.values * block.bytes;
  return m;
}

struct BlockCase {
  MatrixFormat format;
  i64 d_offset, m_offset;  // of the half fields; -1: the type has no second one
  double sum, weighted_sum;
  std::vector<std::pair<i64, float>> samples;
};

// One block of bytes (73 i + 41) mod 256 with d = 0x2E66 and m or dmin = 0x2A3D, decoded by ggml's
// own code; the sums are of y_i and of (i + 1) y_i.
const std::vector<BlockCase>& ggml_blocks() {
  static const std::vector<BlockCase> cases = {
      {MatrixFormat::kQ4_0,
       0,
       -1,
       -3.29919434,
       -79.8804932,
       {{0, 0.299926758F},
        {1, -0.399902344F},
        {15, -0.599853516F},
        {16, 0.299926758F},
        {31, -0.799804688F}}},
      {MatrixFormat::kQ4_1,
       0,
       2,
       24.0540771,
       372.248291,
       {{0, 1.34841919F},
        {1, 0.648590088F},
        {15, 0.448638916F},
        {16, 0.448638916F},
        {31, 0.948516846F}}},
      {MatrixFormat::kQ5_0,
       0,
       -1,
       -4.49890137,
       -118.471069,
       {{0, 1.49963379F},
        {1, 0.799804688F},
        {15, -0.999755859F},
        {16, 1.29968262F},
        {31, 0.199951172F}}},
      {MatrixFormat::kQ5_1,
       0,
       2,
       51.6473389,
       830.336426,
       {{0, 1.74832153F},
        {1, 1.04849243F},
        {15, 2.44815063F},
        {16, 2.34817505F},
        {31, 1.14846802F}}},
      {MatrixFormat::kQ8_0,
       0,
       -1,
       -4.79882812,
       -68.7832031,
       {{0, -6.89831543F},
        {1, 0.399902344F},
        {15, 0.199951172F},
        {16, 7.49816895F},
        {31, -10.9973145F}}},
      {MatrixFormat::kQ4_K,
       0,
       2,
       5342.58594,
       737666.431,
       {{0, 9.30905151F},
        {1, 0.211273193F},
        {15, -2.38809204F},
        {32, 21.3673706F},
        {63, 16.9684448F},
        {64, 27.7469788F},
        {100, 59.4005127F},
        {127, 43.4044189F},
        {128, 17.6769714F},
        {200, 5.40118408F},
        {255, -1.12094116F}}},
      {MatrixFormat::kQ5_K,
       0,
       2,
       11013.2012,
       1490996.07,
       {{0, 30.1039734F},
        {1, 0.211273193F},
        {15, -2.38809204F},
        {32, 25.7662964F},
        {63, 21.3673706F},
        {64, 27.7469788F},
        {100, 67.3985596F},
        {127, 51.4024658F},
        {128, 51.2687683F},
        {200, 5.40118408F},
        {255, -1.12094116F}}},
      {MatrixFormat::kQ6_K,
       208,
       -1,
       -1484.0376,
       -162773.051,
       {{0, 16.0960693F},
        {1, -4.59887695F},
        {15, 73.5820312F},
        {16, -34.9914551F},
        {31, -159.960938F},
        {32, 110.672974F},
        {63, 191.953125F},
        {64, 2.59936523F},
        {100, -213.3479F},
        {127, -4.79882812F},
        {128, -34.291626F},
        {200, -42.489624F},
        {255, 28.7929688F}}},
  };
  return cases;
}

std::vector<u8> ggml_block(const BlockCase& c) {
  std::vector<u8> bytes(block_size(c.format).bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<u8>(73 * i + 41);
  }
  bytes[c.d_offset] = 0x66;
  bytes[c.d_offset + 1] = 0x2E;
  if (c.m_offset >= 0) {
    bytes[c.m_offset] = 0x3D;
    bytes[c.m_offset + 1] = 0x2A;
  }
  return bytes;
}

class MatrixOnEachIsa : public inlay::testing::OnEachIsa {};
INLAY_ON_EACH_ISA(MatrixOnEachIsa);

TEST_P(MatrixOnEachIsa, DecodesGgufBlocksAsGgmlDoes) {
  for (const BlockCase& c : ggml_blocks()) {
    SCOPED_TRACE(format_name(c.format));
    const std::vector<u8> bytes = ggml_block(c);
    const i64 n = block_size(c.format).values;
    const std::vector<float> y = decoded(gguf_matrix(c.format, 1, n, bytes), 0, 0, n);
    double sum = 0, weighted = 0;
    for (i64 i = 0; i < n; ++i) {
      sum += y[i];
      weighted += static_cast<double>(i + 1) * y[i];
    }
    // The sums were printed with nine digits; the samples too, which names one float each.
    EXPECT_NEAR(sum, c.sum, 1e-8 * std::abs(c.sum));
    EXPECT_NEAR(weighted, c.weighted_sum, 1e-8 * std::abs(c.weighted_sum));
    for (const auto& [index, value] : c.samples) {
      EXPECT_EQ(y[index], value) << "at " << index;
    }
  }
}

// Decoding [col, col + count) gives that part of the whole row, for all pairs from two lists.
void expect_parts_of_the_row(const MatrixRef& m, i64 row, const std::vector<i64>& cols,
                             const std::vector<i64>& counts) {
  const std::vector<float> whole = decoded(m, row, 0, m.cols);
  for (const i64 col : cols) {
    for (const i64 count : counts) {
      const i64 n = std::min(count, m.cols - col);
      const std::vector<float> expected(whole.begin() + col, whole.begin() + col + n);
      ASSERT_EQ(bits_of(decoded(m, row, col, n)), bits_of(expected))
          << format_name(m.format) << " row " << row << " col " << col << " count " << n;
    }
  }
}

TEST_P(MatrixOnEachIsa, DecodesGgufRowsFromAnyColumn) {
  constexpr i64 kRows = 3, kCols = 512;
  for (const MatrixFormat format : block_formats()) {
    const BlockSize block = block_size(format);
    const std::vector<u8> bytes = random_bytes(kRows * kCols / block.values * block.bytes, 7);
    const MatrixRef m = gguf_matrix(format, kRows, kCols, bytes);
    for (i64 row = 0; row < kRows; ++row) {
      expect_parts_of_the_row(m, row, {0, 1, 31, 32, 33, 250, 256, 479, 511},
                              {0, 1, 5, 31, 32, 33, 64, 257});
    }
  }
}

TEST_P(MatrixOnEachIsa, DecodesDenseRowsFromAnyColumn) {
  for (const MatrixFormat format : {MatrixFormat::kF32, MatrixFormat::kBf16, MatrixFormat::kF16}) {
    const i64 size = block_size(format).bytes;
    const std::vector<u8> bytes = random_bytes(i64{2} * 40 * size, 3);
    MatrixRef m = gguf_matrix(format, 2, 37, bytes);
    m.row_bytes = 40 * size;  // rows need not follow each other
    expect_parts_of_the_row(m, 1, {0, 1, 2, 5, 8, 21, 36}, {0, 1, 7, 8, 9, 15, 16, 17, 32, 37});
  }
}

TEST(Matrix, RandomBlocksDecodeToTheSameBitsOnAllInstructionSets) {
  // Random bytes put infinities, NaNs and subnormals into the scales as well.
  constexpr i64 kRows = 16, kCols = 1024;
  for (const MatrixFormat format : block_formats()) {
    const BlockSize block = block_size(format);
    const std::vector<u8> bytes = random_bytes(kRows * kCols / block.values * block.bytes, 11);
    const MatrixRef m = gguf_matrix(format, kRows, kCols, bytes);
    for (i64 row = 0; row < kRows; ++row) {
      std::vector<u32> portable;
      for (const Isa isa : supported_isas()) {
        const IsaScope scope(isa);
        const std::vector<u32> bits = bits_of(decoded(m, row, 0, kCols));
        portable = portable.empty() ? bits : portable;
        EXPECT_EQ(bits, portable) << format_name(format) << " " << isa_name(isa) << " row " << row;
      }
    }
  }
}

// All 65536 halves, one row.
struct AllHalves {
  std::vector<u16> values = std::vector<u16>(65536);
  MatrixRef matrix;

  explicit AllHalves(MatrixFormat format) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<u16>(i);
    }
    matrix.format = format;
    matrix.rows = 1;
    matrix.cols = 65536;
    matrix.data = values.data();
    matrix.row_bytes = matrix.cols * 2;
  }
};

double half_value(u16 bits) {
  const int exponent = bits >> 10 & 31;
  const int mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST_P(MatrixOnEachIsa, DecodesEveryHalf) {
  const AllHalves all(MatrixFormat::kF16);
  const std::vector<float> y = decoded(all.matrix, 0, 0, 65536);
  for (size_t i = 0; i < y.size(); ++i) {
    const double expected = half_value(static_cast<u16>(i));
    ASSERT_TRUE(std::isnan(expected) ? std::isnan(y[i]) : y[i] == expected) << i;
    ASSERT_TRUE(std::isnan(y[i]) || std::signbit(y[i]) == (i >= 32768)) << i;
  }
}

TEST_P(MatrixOnEachIsa, Bf16IsTheTopHalfOfAFloat) {
  const AllHalves all(MatrixFormat::kBf16);
  const std::vector<u32> bits = bits_of(decoded(all.matrix, 0, 0, 65536));
  for (size_t i = 0; i < bits.size(); ++i) {
    const bool nan = (i & 0x7FFFU) > 0x7F80U;
    ASSERT_EQ(bits[i], nan ? 0x7FC00000U : static_cast<u32>(i) << 16);
  }
}

constexpr float kNf4[16] = {-1.0F,        -0.6961928F,  -0.52507305F,  -0.3949175F,
                            -0.28444138F, -0.18477343F, -0.091050036F, 0.0F,
                            0.0795803F,   0.1609302F,   0.2461123F,    0.33791524F,
                            0.44070983F,  0.562617F,    0.72295684F,   1.0F};

// A four-bit matrix with random nibbles and scales, plain or double quantised.
struct FourBitCase {
  std::vector<u8> nibbles;
  std::vector<float> absmax, nested_absmax, nested_code;
  std::vector<u8> codes;
  MatrixRef matrix;

  FourBitCase(i64 rows, i64 cols, i64 block_size, bool nested) {
    const i64 values = rows * cols;
    const i64 blocks = (values + block_size - 1) / block_size;
    nibbles = random_bytes((values + 1) / 2, 9);
    matrix.format = MatrixFormat::kFourBit;
    matrix.rows = rows;
    matrix.cols = cols;
    matrix.data = nibbles.data();
    FourBitScales& scales = matrix.four_bit;
    scales.code = kNf4;
    scales.block_size = block_size;
    scales.nested_block_size = 4;
    if (nested) {
      codes = random_bytes(blocks, 10);
      nested_absmax = random_scales((blocks + 3) / 4, 21);
      nested_code = random_scales(256, 22);
      scales.absmax_codes = codes.data();
      scales.nested_absmax = nested_absmax.data();
      scales.nested_code = nested_code.data();
      scales.offset = 0.62400067F;
    } else {
      absmax = random_scales(blocks, 23);
      scales.absmax = absmax.data();
    }
  }

  static std::vector<float> random_scales(i64 count, u64 seed) {
    const std::vector<u8> bytes = random_bytes(count, seed);
    std::vector<float> scales(count);
    for (i64 i = 0; i < count; ++i) {
      scales[i] = 0.01F + static_cast<float>(bytes[i]) / 77.0F;
    }
    return scales;
  }

  float value(i64 row, i64 col) const {
    const FourBitScales& scales = matrix.four_bit;
    const i64 at = row * matrix.cols + col;
    const u8 byte = nibbles[at / 2];
    const i64 block = at / scales.block_size;
    // volatile: each product and sum is rounded, as the format says.
    volatile float scale = 0.0F;
    if (scales.absmax != nullptr) {
      scale = absmax[block];
    } else {
      scale = nested_code[codes[block]] * nested_absmax[block / scales.nested_block_size];
      scale = scale + scales.offset;
    }
    return kNf4[at % 2 == 0 ? byte >> 4 : byte & 15] * scale;
  }
};

void expect_the_definition(const FourBitCase& c) {
  for (const i64 col : {0, 1, 2, 15, 31, 63, 64, 100}) {
    for (const i64 count : {0, 1, 2, 7, 8, 16, 17, 33, 64, 65, 200}) {
      const i64 n = std::min(count, c.matrix.cols - col);
      for (i64 row = 0; n >= 0 && row < c.matrix.rows; ++row) {
        std::vector<float> expected(n);
        for (i64 i = 0; i < n; ++i) {
          expected[i] = c.value(row, col + i);
        }
        ASSERT_EQ(decoded(c.matrix, row, col, n), expected)
            << "row " << row << " col " << col << " count " << n;
      }
    }
  }
}

struct FourBitShape {
  i64 rows, cols, block_size;
};

TEST_P(MatrixOnEachIsa, DecodesFourBitRowsWhereverTheyStart) {
  // Whole blocks a row; rows narrower than a block; odd rows, which start inside a byte; rows that
  // cross blocks.
  constexpr FourBitShape kShapes[] = {{3, 128, 64}, {9, 16, 64},  {7, 33, 64},
                                      {5, 1, 32},   {4, 200, 64}, {3, 77, 32}};
  for (const FourBitShape& shape : kShapes) {
    for (const bool nested : {false, true}) {
      SCOPED_TRACE(str("[", shape.rows, ", ", shape.cols, "] in blocks of ", shape.block_size,
                       nested ? ", nested scales" : ""));
      expect_the_definition(FourBitCase(shape.rows, shape.cols, shape.block_size, nested));
    }
  }
}

TEST(Matrix, RowMapRenamesRowsOfEveryKindOfStorage) {
  const i32 map[] = {2, 0, 1};
  const std::vector<u8> bytes = random_bytes(i64{3} * 34 * 2, 5);
  MatrixRef blocks = gguf_matrix(MatrixFormat::kQ8_0, 3, 64, bytes);
  const FourBitCase nibbles(3, 64, 32, true);
  for (MatrixRef m : {blocks, nibbles.matrix}) {
    MatrixRef mapped = m;
    mapped.row_map = map;
    for (i64 row = 0; row < 3; ++row) {
      EXPECT_EQ(bits_of(decoded(mapped, row, 3, 61)), bits_of(decoded(m, map[row], 3, 61)));
    }
  }
}

TEST(Matrix, BlocksHaveTheSizesOfTheirFormats) {
  EXPECT_EQ(block_size(MatrixFormat::kF32).bytes, 4);
  EXPECT_EQ(block_size(MatrixFormat::kFourBit).values, 2);
  EXPECT_EQ(block_size(MatrixFormat::kQ4_1).bytes, 20);
  EXPECT_EQ(block_size(MatrixFormat::kQ6_K).values, 256);
  EXPECT_EQ(block_size(MatrixFormat::kQ6_K).bytes, 210);
  EXPECT_EQ(format_name(MatrixFormat::kQ4_K), "Q4_K");
}

}  // namespace
}  // namespace inlay::kernels
