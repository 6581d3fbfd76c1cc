// SPDX-License-Identifier: Apache-2.0
#include "quant/four_bit.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/io/sha256.h"
#include "core/kernels/elementwise.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/quant/values.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

std::vector<u8> bytes_of(const TensorEntry& entry) {
  const auto* data = reinterpret_cast<const u8*>(entry.data.data());
  return {data, data + entry.data.size()};
}

std::vector<u8> bytes_of(const Tensor& tensor) {
  const auto values = tensor.span<const u8>();
  return {values.begin(), values.end()};
}

std::vector<float> decoded(const FourBitMatrix& matrix) {
  return matrix.frozen().decode(0, matrix.rows).to_vector();
}

/// Distance in units of the last place between two positive floats.
i64 ulps(float a, float b) {
  return std::abs(static_cast<i64>(std::bit_cast<u32>(a)) -
                  static_cast<i64>(std::bit_cast<u32>(b)));
}

// ---- Levels and thresholds

TEST(FourBit, NamesItsTypes) {
  EXPECT_EQ(choice_name(FourBitType::kNf4), "nf4");
  EXPECT_EQ(find_choice<FourBitType>("fp4"), FourBitType::kFp4);
  EXPECT_EQ(find_choice<FourBitType>("int4"), std::nullopt);
}

/// The codes of z in a block whose scale is 1.
std::vector<int> codes_of(FourBitType type, std::vector<float> z) {
  z.resize(64, 0.0F);
  z[63] = 1.0F;
  std::vector<u8> packed(32);
  float absmax = 0.0F;
  EXPECT_TRUE(quantize_four_bit_blocks(z, type, 64, packed, {&absmax, 1}));
  EXPECT_EQ(absmax, 1.0F);
  std::vector<int> codes;
  for (const u8 byte : packed) {
    codes.push_back(byte >> 4);
    codes.push_back(byte & 15);
  }
  return codes;
}

TEST(FourBit, Nf4ChangesCodeRightBehindEachThreshold) {
  // As doubles these are the exact means of two levels; rounded to f32 they are the f32 means.
  const std::vector<double> thresholds = {
      -0.8480964004993439,  -0.6106329262256622,  -0.4599952697753906,   -0.33967943489551544,
      -0.23460740596055984, -0.13791173323988914, -0.045525018125772476, 0.03979014977812767,
      0.1202552504837513,   0.2035212516784668,   0.2920137718319893,    0.3893125355243683,
      0.5016634166240692,   0.6427869200706482,   0.8614784181118011};
  std::vector<float> z;
  for (const double threshold : thresholds) {
    const auto t = static_cast<float>(threshold);
    z.push_back(t);  // a tie goes to the lower code
    z.push_back(std::nextafter(t, 1.0F));
  }
  const std::vector<int> codes = codes_of(FourBitType::kNf4, z);
  for (int k = 0; k < 15; ++k) {
    EXPECT_EQ(codes[2 * k], k);
    EXPECT_EQ(codes[2 * k + 1], k + 1);
  }
}

TEST(FourBit, Nf4LevelsKeepTheirCodes) {
  const auto levels = four_bit_levels(FourBitType::kNf4);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
  const std::vector<int> codes =
      codes_of(FourBitType::kNf4, std::vector<float>(levels.begin(), levels.end()));
  for (int k = 0; k < 16; ++k) {
    EXPECT_EQ(codes[k], k);
  }
}

TEST(FourBit, Fp4ChangesCodeRightBehindEachThresholdOnBothSides) {
  const std::vector<float> thresholds = {0.00260417F, 0.0859375F, 0.20833333F, 0.29166667F,
                                         0.4166667F,  0.583333F,  0.8333333F};
  const std::vector<int> in_order = {0, 1, 6, 7, 4, 5, 2, 3};
  for (const float sign : {1.0F, -1.0F}) {
    std::vector<float> z;
    for (const float t : thresholds) {
      z.push_back(sign * t);
      z.push_back(sign * std::nextafter(t, 1.0F));
    }
    const int bit = sign < 0.0F ? 8 : 0;
    const std::vector<int> codes = codes_of(FourBitType::kFp4, z);
    for (int k = 0; k < 7; ++k) {
      EXPECT_EQ(codes[2 * k], in_order[k] + bit);
      EXPECT_EQ(codes[2 * k + 1], in_order[k + 1] + bit);
    }
  }
  const auto levels = four_bit_levels(FourBitType::kFp4);
  EXPECT_EQ(levels[2], 8.0F / 12.0F);
  EXPECT_TRUE(std::signbit(levels[8]) && levels[8] == 0.0F);
  for (int k = 0; k < 8; ++k) {
    EXPECT_EQ(levels[8 + k], -levels[k]);
  }
}

// ---- The vectors written down with the format

TEST(FourBit, Nf4CodesAreThePublishedOnes) {
  std::vector<float> x(128);
  for (int i = 0; i < 128; ++i) {
    x[i] = static_cast<float>((37 * i) % 101 - 50) / 64.0F;
  }
  std::vector<u8> codes(64);
  std::vector<float> absmax(2);
  ASSERT_TRUE(quantize_four_bit_blocks(x, FourBitType::kNf4, 64, codes, absmax));
  EXPECT_EQ(absmax, (std::vector<float>{0.78125F, 0.78125F}));
  EXPECT_EQ(hex_of(codes),
            "04c16e29f3b05d17e29f3c05d18e2af4c16e18e3b05d17e29f3b05d18e2af4c1"
            "6d18e3b04c17e29f3b05d17e2af4c06d18e2a04c16e29f3b05d17e29f3c05d18");
}

TEST(FourBit, DoubleQuantisedScalesAreThePublishedOnes) {
  std::vector<float> absmax(300);
  for (int i = 0; i < 300; ++i) {
    absmax[i] = 0.5F + static_cast<float>((53 * i) % 257) / 1024.0F;
  }
  float offset = 0.0F;
  kernels::mean(absmax, {&offset, 1});
  EXPECT_LE(ulps(offset, 0.6240006685256958F), 1);
  // With the offset of the vector's author, whose last bit is the device's.
  std::vector<u8> codes(300);
  std::vector<float> nested(2);
  quantize_absmax(absmax, 0.6240006685256958F, codes, nested);
  EXPECT_EQ(nested, (std::vector<float>{0.1259993314743042F, 0.1240006685256958F}));
  EXPECT_EQ(std::vector<u8>(codes.begin(), codes.begin() + 16),
            (std::vector<u8>{1, 30, 59, 201, 230, 5, 34, 64, 205, 235, 9, 39, 85, 210, 239, 14}));
  EXPECT_EQ(std::vector<u8>(codes.end() - 4, codes.end()), (std::vector<u8>{6, 35, 71, 207}));
  EXPECT_EQ(std::accumulate(codes.begin(), codes.end(), 0), 38051);
}

// ---- bitsandbytes on a GPU (tests/golden/quant/README.md)

class BnbVectors : public ::testing::Test {
 protected:
  struct Case {
    std::string name;
    FourBitType type;
    bool double_quant;
    bool bf16;
    i64 block_size;
    Tensor weight;
    std::vector<u8> packed;
    std::string dequant_sha256;
  };

  std::vector<Case> cases() const {
    const auto json = read_json(golden("quant/bnb_vectors.json"));
    std::vector<Case> out;
    for (const auto& [name, c] : json["cases"].items()) {
      const TensorEntry& weight = file_.at(c["weight"].get<std::string>());
      const bool bf16 = c["dtype"] == "bfloat16";
      Tensor source = Tensor::from(floats_of(weight), {weight.shape[0], weight.shape[1]});
      out.push_back({name, find_choice<FourBitType>(c["quant_type"].get<std::string>()).value(),
                     c["double_quant"].get<bool>(), bf16, c["blocksize"].get<i64>(),
                     bf16 ? source.to(DType::kBf16) : source,
                     bytes_of(file_.at(c["packed"].get<std::string>())),
                     c["dequant_sha256"].get<std::string>()});
    }
    return out;
  }

  static FourBitMatrix quantized(const Case& c) {
    return quantize_four_bit(
        matrix_ref(c.weight),
        {.type = c.type, .block_size = c.block_size, .double_quant = c.double_quant});
  }

  /// Expects the codes of the case, and returns how many differ where they may: 5/24, 7/24 and 5/6
  /// of absmax, which bf16 values hit exactly, lie on an FP4 threshold, and there the GPU's
  /// approximate 1 / absmax decides.
  static i64 compare_codes(const Case& c, const std::vector<u8>& codes) {
    const std::vector<float> x = c.weight.to(DType::kF32).to_vector();
    i64 undecided = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const int shift = i % 2 == 0 ? 4 : 0;
      if ((codes[i / 2] >> shift & 15) == (c.packed[i / 2] >> shift & 15)) {
        continue;
      }
      const auto block = static_cast<std::size_t>(c.block_size);
      const auto begin = x.begin() + static_cast<i64>(i / block * block);
      const auto end = x.begin() + static_cast<i64>(std::min(x.size(), (i / block + 1) * block));
      const float absmax = std::fabs(*std::max_element(
          begin, end, [](float a, float b) { return std::fabs(a) < std::fabs(b); }));
      // Exact in double: bf16 has 8 bits.
      const double ratio = 24.0 * std::fabs(static_cast<double>(x[i])) / absmax;
      EXPECT_TRUE(c.type == FourBitType::kFp4 && c.bf16 &&
                  (ratio == 5.0 || ratio == 7.0 || ratio == 20.0))
          << "value " << i;
      ++undecided;
    }
    return undecided;
  }

  SafetensorsFile file_{golden("quant/bnb_vectors.safetensors")};
};

TEST_F(BnbVectors, CodesAndScalesAreTheSame) {
  i64 undecided = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const FourBitMatrix matrix = quantized(c);
    EXPECT_EQ(matrix.dtype, c.bf16 ? DType::kBf16 : DType::kF32);
    if (!c.double_quant) {
      EXPECT_EQ(matrix.absmax.to_vector(), floats_of(file_.at(c.name + ".absmax")));
    }
    if (!c.name.starts_with("zeros")) {
      undecided += compare_codes(c, bytes_of(matrix.codes));
    }
  }
  // Six values of FP4 from bf16, each in a plain and a double-quantised case.
  EXPECT_EQ(undecided, 12);
}

TEST_F(BnbVectors, DoubleQuantisedScalesAreTheSame) {
  i64 checked = 0;
  for (Case c : cases()) {
    if (!c.double_quant) {
      continue;
    }
    SCOPED_TRACE(c.name);
    const FourBitMatrix matrix = quantized(c);
    const float offset = floats_of(file_.at(c.name + ".offset"))[0];
    EXPECT_LE(ulps(matrix.offset, offset), 1);  // the order of the sum is the device's
    EXPECT_EQ(matrix.nested_levels.to_vector(), floats_of(file_.at("nested_code")));

    c.double_quant = false;
    const Tensor absmax = quantized(c).absmax;
    std::vector<u8> codes(absmax.numel());
    std::vector<float> nested(matrix.nested_absmax.numel());
    quantize_absmax(absmax.values(), offset, codes, nested);
    EXPECT_EQ(nested, floats_of(file_.at(c.name + ".nested_absmax")));
    const bool all_equal =
        std::all_of(nested.begin(), nested.end(), [](float a) { return a == 0.0F; });
    if (!all_equal) {  // otherwise any code restores the mean
      EXPECT_EQ(codes, bytes_of(file_.at(c.name + ".absmax")));
      EXPECT_EQ(bytes_of(matrix.absmax), codes);
    }
    ++checked;
  }
  EXPECT_EQ(checked, 28);
}

TEST_F(BnbVectors, StoredCodesDecodeToTheSameBits) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    FourBitMatrix matrix = quantized(c);
    std::copy(c.packed.begin(), c.packed.end(), matrix.codes.span<u8>().begin());
    if (c.double_quant) {
      const std::vector<u8> absmax = bytes_of(file_.at(c.name + ".absmax"));
      std::copy(absmax.begin(), absmax.end(), matrix.absmax.span<u8>().begin());
      const std::vector<float> nested = floats_of(file_.at(c.name + ".nested_absmax"));
      std::copy(nested.begin(), nested.end(), matrix.nested_absmax.mutable_values().begin());
      matrix.offset = floats_of(file_.at(c.name + ".offset"))[0];
    }
    Tensor values = matrix.frozen().decode(0, matrix.rows);
    if (c.bf16) {
      values = values.to(DType::kBf16).to(DType::kF32);
    }
    std::vector<float> plain = values.to_vector();
    for (float& value : plain) {
      value += 0.0F;  // the digests are of values without -0
    }
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(plain))), c.dequant_sha256);
  }
}

// ---- Properties

double rms_error(const Tensor& x, const std::vector<float>& y) {
  double sum = 0.0;
  for (i64 i = 0; i < x.numel(); ++i) {
    sum += std::pow(static_cast<double>(x.values()[i]) - y[i], 2.0);
  }
  return std::sqrt(sum / static_cast<double>(x.numel()));
}

/// The plain alternative: whole numbers from -7 to 7 times absmax / 7.
std::vector<float> through_int4(const Tensor& x, i64 block_size) {
  std::vector<float> y = x.to_vector();
  for (std::size_t begin = 0; begin < y.size(); begin += static_cast<std::size_t>(block_size)) {
    const auto block = std::span(y).subspan(begin, static_cast<std::size_t>(block_size));
    float absmax = 0.0F;
    for (const float value : block) {
      absmax = std::max(absmax, std::fabs(value));
    }
    for (float& value : block) {
      value = std::round(value * 7.0F / absmax) * absmax / 7.0F;
    }
  }
  return y;
}

TEST(FourBit, Nf4LosesLessOfAGaussianThanFp4AndInt4) {
  const Tensor x = gaussian(1024, 1024, 7);
  const auto error = [&](FourBitType type) {
    return rms_error(
        x, decoded(quantize_four_bit(matrix_ref(x), {.type = type, .double_quant = false})));
  };
  const double nf4 = error(FourBitType::kNf4);
  EXPECT_NEAR(nf4, 0.092, 0.002);  // a million values: the error's own error is below 0.0001
  EXPECT_LT(nf4, error(FourBitType::kFp4));
  EXPECT_LT(nf4, rms_error(x, through_int4(x, 64)));
}

TEST(FourBit, DoubleQuantisationCostsAnEighthOfABitAndHardlyAnyError) {
  const Tensor x = gaussian(1024, 1024, 7);
  const FourBitMatrix plain = quantize_four_bit(matrix_ref(x), {.double_quant = false});
  const FourBitMatrix twice = quantize_four_bit(matrix_ref(x), {.double_quant = true});
  const auto bits = [&](const FourBitMatrix& m) {
    const i64 tables = m.levels.bytes() + (m.double_quant() ? m.nested_levels.bytes() : 0);
    return 8.0 * static_cast<double>(m.frozen().bytes() - tables) / static_cast<double>(x.numel());
  };
  EXPECT_DOUBLE_EQ(bits(plain), 4.5);
  EXPECT_NEAR(bits(twice), 4.127, 0.0005);
  EXPECT_LT(rms_error(x, decoded(twice)), 1.01 * rms_error(x, decoded(plain)));
}

TEST(FourBit, EveryStorageOfTheSameValuesGivesTheSameBits) {
  // Whole numbers up to 127: exact in f32, bf16, f16 and, with scale 1, in Q8_0.
  const i64 rows = 7;
  const i64 cols = 96;
  Tensor x = Tensor::empty({rows, cols});
  std::vector<u8> q8_0;
  for (i64 i = 0; i < x.numel(); ++i) {
    const i64 q = i % 32 == 0 ? 127 : (i * 29) % 255 - 127;
    x.mutable_values()[i] = static_cast<float>(q);
    if (i % 32 == 0) {
      q8_0.insert(q8_0.end(), {0x00, 0x3C});  // one as a half
    }
    q8_0.push_back(static_cast<u8>(q));
  }
  kernels::MatrixRef blocks;
  blocks.format = kernels::MatrixFormat::kQ8_0;
  blocks.rows = rows;
  blocks.cols = cols;
  blocks.data = q8_0.data();
  blocks.row_bytes = 3 * 34;
  const Tensor bf16 = x.to(DType::kBf16);
  const Tensor f16 = x.to(DType::kF16);
  const FourBitMatrix expected = quantize_four_bit(matrix_ref(x), {});
  for (const kernels::MatrixRef& source : {matrix_ref(bf16), matrix_ref(f16), blocks}) {
    const FourBitMatrix matrix = quantize_four_bit(source, {});
    EXPECT_EQ(bytes_of(matrix.codes), bytes_of(expected.codes));
    EXPECT_EQ(bytes_of(matrix.absmax), bytes_of(expected.absmax));
    EXPECT_EQ(matrix.offset, expected.offset);
  }
}

TEST(FourBit, ThreadsDoNotChangeTheBits) {
  const Tensor x = gaussian(300, 333, 7);
  set_num_threads(1);
  const FourBitMatrix expected = quantize_four_bit(matrix_ref(x), {});
  for (const int threads : {2, 4, 7}) {
    set_num_threads(threads);
    const FourBitMatrix matrix = quantize_four_bit(matrix_ref(x), {});
    EXPECT_EQ(bytes_of(matrix.codes), bytes_of(expected.codes));
    EXPECT_EQ(bytes_of(matrix.absmax), bytes_of(expected.absmax));
    EXPECT_EQ(matrix.nested_absmax.to_vector(), expected.nested_absmax.to_vector());
  }
  set_num_threads(available_processors());
}

TEST(FourBit, EveryBlockSizeAndTailKeepsItsLargestValueExactly) {
  for (const i64 block_size : {32, 64, 128, 1024, 4096}) {
    for (const i64 cols : {1, 31, 33, 4095, 4097}) {
      const Tensor x = gaussian(3, cols, 7);
      const FourBitMatrix matrix =
          quantize_four_bit(matrix_ref(x), {.block_size = block_size, .double_quant = false});
      const std::vector<float> y = decoded(matrix);
      ASSERT_EQ(matrix.absmax.numel(), matrix.blocks());
      for (i64 b = 0; b < matrix.blocks(); ++b) {
        const i64 end = std::min(x.numel(), (b + 1) * block_size);
        float largest = 0.0F;
        float restored = 0.0F;
        for (i64 i = b * block_size; i < end; ++i) {
          largest = std::max(largest, std::fabs(x.values()[i]));
          restored = std::max(restored, std::fabs(y[i]));
        }
        EXPECT_EQ(restored, largest);
      }
    }
  }
}

TEST(FourBit, ZerosStayZerosAndTheSpareNibbleIsZeroToo) {
  const Tensor zeros = Tensor::zeros({3, 43});
  for (const FourBitType type : {FourBitType::kNf4, FourBitType::kFp4}) {
    for (const bool double_quant : {false, true}) {
      const FourBitMatrix matrix =
          quantize_four_bit(matrix_ref(zeros), {.type = type, .double_quant = double_quant});
      for (const float value : decoded(matrix)) {
        EXPECT_EQ(value, 0.0F);
      }
      const int zero = type == FourBitType::kNf4 ? 7 : 0;
      EXPECT_EQ(bytes_of(matrix.codes).back() & 15, zero);
    }
  }
}

TEST(FourBit, SubnormalBlocksKeepTheirValuesThoughTheReciprocalOverflows) {
  Tensor x = Tensor::zeros({1, 64});
  const float tiny = std::numeric_limits<float>::denorm_min();
  x.mutable_values()[0] = 16.0F * tiny;
  x.mutable_values()[1] = -16.0F * tiny;
  const std::vector<float> y = decoded(quantize_four_bit(matrix_ref(x), {.double_quant = false}));
  EXPECT_EQ(y[0], 16.0F * tiny);
  EXPECT_EQ(y[1], -16.0F * tiny);
  EXPECT_EQ(y[2], 0.0F);
}

TEST(FourBit, RefusesValuesThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Tensor x = gaussian(100, 100, 7);
    x.mutable_values()[7431] = bad;
    try {
      quantize_four_bit(matrix_ref(x), {});
      FAIL() << "nothing thrown";
    } catch (const DataError& error) {
      EXPECT_EQ(error.what(), str("the value in row 74, column 31 is ", bad,
                                  ": only finite weights can be quantised"));
    }
  }
}

TEST(FourBit, AnEmptyMatrixHasNoBlocks) {
  const Tensor x = Tensor::zeros({0, 64});
  const FourBitMatrix matrix = quantize_four_bit(matrix_ref(x), {});
  EXPECT_EQ(matrix.codes.numel(), 0);
  EXPECT_EQ(matrix.blocks(), 0);
}

}  // namespace
}  // namespace inlay
