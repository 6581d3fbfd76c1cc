// SPDX-License-Identifier: Apache-2.0
#include "quant/formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "core/parallel.h"
#include "core/random.h"
#include "quant/gguf_blocks.h"
#include "tests/quant/values.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;
using kernels::MatrixRef;

std::string bytes_of(const FrozenMatrix& matrix) {
  return {static_cast<const char*>(matrix.ref().data),
          static_cast<std::size_t>(matrix.rows() * matrix.ref().row_bytes)};
}

TEST(QuantFormats, NamesAndSizesAgreeWithTheKernels) {
  for (const QuantFormat& format : quant_formats()) {
    EXPECT_EQ(find_quant_format(format.name), &format);
    const kernels::BlockSize block = kernels::block_size(format.storage);
    if (format.storage != MatrixFormat::kFourBit) {
      EXPECT_EQ(format.block_values, block.values);
      EXPECT_EQ(format.block_bytes, block.bytes);
      const auto type = gguf_type_of(format.storage);
      ASSERT_TRUE(type);
      EXPECT_EQ(matrix_format_of_gguf(*type), format.storage);
      EXPECT_EQ(find_gguf_type(*type)->block_values, block.values);
      EXPECT_EQ(find_gguf_type(*type)->block_bytes, block.bytes);
    }
  }
  EXPECT_EQ(find_quant_format("q9_9"), nullptr);
  EXPECT_EQ(matrix_format_of_gguf(10), std::nullopt);  // Q2_K
  EXPECT_EQ(gguf_type_of(MatrixFormat::kFourBit), std::nullopt);
  EXPECT_EQ(matrix_format_of_gguf(30), MatrixFormat::kBf16);
}

// Half a step of each format, for blocks whose largest magnitude is at most 4.5 (a million draws
// from a normal distribution stay under it with these seeds), and a little for rounding the scale
// to a half (2^-11 of the value).
double worst_error(std::string_view name) {
  const double largest = 4.5;
  const double half_rounding = largest * 0x1p-11;
  if (name.starts_with("nf4")) {
    return largest * (1.0 - 0.6962) / 2.0 * 1.02;  // the widest gap; 2 % for 8-bit scales
  }
  if (name.starts_with("fp4")) {
    return largest * (1.0 - 2.0 / 3.0) / 2.0 * 1.02;
  }
  if (name == "q8_0") {
    return largest / 127.0 / 2.0 + half_rounding;
  }
  if (name == "q4_0" || name == "q5_0") {
    // The side opposite to the extreme value lacks one code, so its end is a whole step off.
    return largest / (name == "q4_0" ? 8.0 : 16.0) + half_rounding;
  }
  return 2.0 * largest / (name == "q4_1" ? 15.0 : 31.0) / 2.0 + 2.0 * half_rounding;
}

TEST(QuantFormats, RoundTripsStayWithinHalfAStep) {
  const Tensor x = gaussian(512, 256, 11);
  i64 encoders = 0;
  for (const QuantFormat& format : quant_formats()) {
    if (format.encode == nullptr) {
      continue;
    }
    ++encoders;
    SCOPED_TRACE(format.name);
    const FrozenMatrix matrix = format.encode(matrix_ref(x));
    EXPECT_EQ(matrix.format(), format.storage);
    const std::vector<float> y = matrix.decode(0, x.dim(0)).to_vector();
    double worst = 0.0;
    for (i64 i = 0; i < x.numel(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(x.values()[i]) - y[i]));
    }
    EXPECT_LT(worst, worst_error(format.name));
    const double bits = 8.0 * static_cast<double>(matrix.bytes()) / static_cast<double>(x.numel());
    EXPECT_NEAR(bits, format.bits_per_weight(), 0.08);  // the tables of levels, up to 1 KiB
  }
  EXPECT_EQ(encoders, 9);
}

TEST(QuantFormats, MoreBitsLoseLess) {
  const Tensor x = gaussian(512, 256, 11);
  const auto rms = [&](std::string_view name) {
    const std::vector<float> y =
        find_quant_format(name)->encode(matrix_ref(x)).decode(0, x.dim(0)).to_vector();
    double sum = 0.0;
    for (i64 i = 0; i < x.numel(); ++i) {
      sum += std::pow(static_cast<double>(x.values()[i]) - y[i], 2.0);
    }
    return std::sqrt(sum / static_cast<double>(x.numel()));
  };
  EXPECT_LT(rms("q8_0"), rms("q5_1"));
  EXPECT_LT(rms("q5_1"), rms("q5_0"));
  EXPECT_LT(rms("q5_0"), rms("q4_1"));
  EXPECT_LT(rms("q4_1"), rms("q4_0"));
  EXPECT_LT(rms("nf4"), rms("fp4"));
}

TEST(QuantFormats, BitsAWeightAreThoseOfTheLiterature) {
  EXPECT_NEAR(find_quant_format("nf4-dq")->bits_per_weight(), 4.127, 0.0005);
  EXPECT_EQ(find_quant_format("nf4")->bits_per_weight(), 4.5);
  EXPECT_EQ(find_quant_format("q4_0")->bits_per_weight(), 4.5);
  EXPECT_EQ(find_quant_format("q8_0")->bits_per_weight(), 8.5);
  EXPECT_EQ(find_quant_format("q6_k")->bits_per_weight(), 6.5625);
}

// ---- GGUF blocks against ggml (tests/golden/quant/README.md)

struct NamedFormat {
  const char* name;
  MatrixFormat format;
};
constexpr NamedFormat kEncoded[] = {{"Q8_0", MatrixFormat::kQ8_0},
                                    {"Q4_0", MatrixFormat::kQ4_0},
                                    {"Q4_1", MatrixFormat::kQ4_1},
                                    {"Q5_0", MatrixFormat::kQ5_0},
                                    {"Q5_1", MatrixFormat::kQ5_1}};
constexpr NamedFormat kDecoded[] = {{"Q8_0", MatrixFormat::kQ8_0}, {"Q4_0", MatrixFormat::kQ4_0},
                                    {"Q4_1", MatrixFormat::kQ4_1}, {"Q5_0", MatrixFormat::kQ5_0},
                                    {"Q5_1", MatrixFormat::kQ5_1}, {"Q4_K", MatrixFormat::kQ4_K},
                                    {"Q5_K", MatrixFormat::kQ5_K}, {"Q6_K", MatrixFormat::kQ6_K},
                                    {"F16", MatrixFormat::kF16},   {"BF16", MatrixFormat::kBf16}};

TEST(GgufBlocks, DecodeToWhatGgufPyDecodes) {
  const SafetensorsFile file(golden("quant/gguf_blocks.safetensors"));
  for (const NamedFormat& row : kDecoded) {
    SCOPED_TRACE(row.name);
    const TensorEntry& raw = file.at(std::string(row.name) + ".raw");
    const std::vector<float> expected = floats_of(file.at(std::string(row.name) + ".values"));
    MatrixRef ref;
    ref.format = row.format;
    ref.rows = 1;
    ref.cols = static_cast<i64>(expected.size());
    ref.data = raw.data.data();
    ref.row_bytes = static_cast<i64>(raw.data.size());
    std::vector<float> values(expected.size());
    kernels::decode_row(ref, 0, 0, ref.cols, values.data());
    EXPECT_EQ(values, expected);
  }
}

TEST(GgufBlocks, EncodeToWhatGgufPyEncodes) {
  const SafetensorsFile file(golden("quant/gguf_blocks.safetensors"));
  for (const NamedFormat& row : kEncoded) {
    SCOPED_TRACE(row.name);
    const std::vector<float> source = floats_of(file.at(std::string(row.name) + ".source"));
    const TensorEntry& encoded = file.at(std::string(row.name) + ".encoded");
    const Tensor x = Tensor::from(source, {static_cast<i64>(source.size()) / 64, 64});
    const std::string expected(reinterpret_cast<const char*>(encoded.data.data()),
                               encoded.data.size());
    EXPECT_TRUE(bytes_of(encode_gguf(matrix_ref(x), row.format)) == expected);
  }
}

TEST(GgufBlocks, EncodeThePublishedVector) {
  std::array<float, 32> x;
  for (int i = 0; i < 32; ++i) {
    x[i] = static_cast<float>((37 * i) % 101 - 50) / 64.0F;
  }
  const struct {
    MatrixFormat format;
    const char* bytes;
  } cases[] = {
      {MatrixFormat::kQ4_0, "402ee046acf258bd1379df358be046acf268"},
      {MatrixFormat::kQ4_1, "ab2e40bad0369bf257bd1369ce258ae0469cf258"},
      {MatrixFormat::kQ5_0, "402aa4a52d6dc07c38f3bf6b26e2ae5a15d18d49f4c0"},
      {MatrixFormat::kQ5_1, "742a40baa4a52d6db07b37e3af6a26d29d5905c18c48f4b0"},
      {MatrixFormat::kQ8_0, "4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc"},
  };
  for (const auto& c : cases) {
    std::vector<u8> out(kernels::block_size(c.format).bytes);
    encode_gguf_block(c.format, x, out);
    EXPECT_EQ(hex_of(out), c.bytes);
  }
}

TEST(GgufBlocks, ZerosAndConstantsSurvive) {
  for (const NamedFormat& row : kEncoded) {
    for (const float constant : {0.0F, 1.0F, -1.0F}) {
      const Tensor x = Tensor::full({2, 64}, constant);
      const std::vector<float> y = encode_gguf(matrix_ref(x), row.format).decode(0, 2).to_vector();
      for (const float value : y) {
        // 1/127 as a half is 2^-11 off; powers of two over powers of two are exact.
        EXPECT_NEAR(value, constant, 0x1p-11) << row.name;
      }
    }
  }
}

TEST(GgufBlocks, EveryStorageAndThreadCountGivesTheSameBytes) {
  const Tensor x = gaussian(37, 96, 11).to(DType::kBf16);
  const Tensor wide = x.to(DType::kF32);
  for (const NamedFormat& row : kEncoded) {
    set_num_threads(1);
    const std::string expected = bytes_of(encode_gguf(matrix_ref(x), row.format));
    set_num_threads(4);
    EXPECT_TRUE(bytes_of(encode_gguf(matrix_ref(wide), row.format)) == expected) << row.name;
  }
  set_num_threads(available_processors());
}

std::string refusal_of(const Tensor& x, MatrixFormat format) {
  try {
    encode_gguf(matrix_ref(x), format);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(GgufBlocks, RefuseWhatTheyCannotHold) {
  EXPECT_EQ(refusal_of(Tensor::zeros({2, 33}), MatrixFormat::kQ4_0),
            "rows of 33 values are not whole Q4_0 blocks of 32");
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(), -70'000.0F}) {
    Tensor x = gaussian(4, 64, 11);
    x.mutable_values()[3 * 64 + 40] = bad;
    EXPECT_EQ(refusal_of(x, MatrixFormat::kQ5_1),
              "row 3, columns 32 to 63: a value is not finite or over 65504, which Q5_1 cannot "
              "hold");
  }
}

}  // namespace
}  // namespace inlay
