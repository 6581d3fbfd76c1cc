// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <vector>

#include "core/kernels/matrix.h"
#include "core/random.h"

namespace inlay::testing {

/// A matrix of random values in any format; it owns what its MatrixRef points to.
class RandomMatrix {
 public:
  struct Options {
    kernels::MatrixFormat format = kernels::MatrixFormat::kF32;
    i64 rows = 1, cols = 1;
    bool mapped = false;        // its rows are stored in another order
    i64 four_bit_block = 32;    // values that share a scale
    bool double_quant = false;  // whose scales are codes themselves
  };

  RandomMatrix(const Options& options, RandomKey key) {
    ref.format = options.format;
    ref.rows = options.rows;
    ref.cols = options.cols;
    if (options.format == MatrixFormat::kFourBit) {
      make_four_bit(options, key);
    } else {
      make_blocks(key);
    }
    ref.data = bytes_.data();
    if (options.mapped) {
      for (const i64 row : random_permutation(options.rows, key.with("map"))) {
        map_.push_back(static_cast<i32>(row));
      }
      ref.row_map = map_.data();
    }
  }
  RandomMatrix(const RandomMatrix&) = delete;
  RandomMatrix& operator=(const RandomMatrix&) = delete;

  kernels::MatrixRef ref;

 private:
  using MatrixFormat = kernels::MatrixFormat;

  void make_four_bit(const Options& options, RandomKey key) {
    const i64 values = ref.rows * ref.cols;
    bytes_.resize((values + 1) / 2);
    fill_bytes(bytes_, key);
    const i64 blocks = (values + options.four_bit_block - 1) / options.four_bit_block;
    ref.four_bit.code = kNf4;
    ref.four_bit.block_size = options.four_bit_block;
    absmax_.resize(blocks);
    fill_uniform(absmax_, key.with("absmax"), 0.5F, 2.0F);
    if (!options.double_quant) {
      ref.four_bit.absmax = absmax_.data();
      return;
    }
    absmax_codes_.resize(blocks);
    fill_bytes(absmax_codes_, key.with("absmax codes"));
    nested_code_.resize(256);
    fill_uniform(nested_code_, key.with("nested code"), -1.0F, 1.0F);
    ref.four_bit.absmax_codes = absmax_codes_.data();
    ref.four_bit.nested_absmax = absmax_.data();
    ref.four_bit.nested_code = nested_code_.data();
    ref.four_bit.nested_block_size = 3;
    ref.four_bit.offset = 1.5F;
  }

  void make_blocks(RandomKey key) {
    const kernels::BlockSize block = kernels::block_size(ref.format);
    const i64 blocks = ref.cols / block.values;
    // One spare value of the dense formats between rows: nobody may use it.
    ref.row_bytes = (blocks + (block.values == 1 ? 1 : 0)) * block.bytes;
    bytes_.resize(ref.row_bytes * ref.rows);
    if (block.values > 1) {
      fill_bytes(bytes_, key);
    }
    std::vector<float> values(ref.rows * blocks);
    fill_uniform(values, key.with("values"), -1.0F, 1.0F);
    for (i64 row = 0; row < ref.rows; ++row) {
      for (i64 b = 0; b < blocks; ++b) {
        tame(bytes_.data() + row * ref.row_bytes + b * block.bytes, values[row * blocks + b]);
      }
      if (block.values == 1) {  // all ones: a NaN in each of the dense formats
        std::memset(bytes_.data() + row * ref.row_bytes + blocks * block.bytes, 0xFF, block.bytes);
      }
    }
  }

  static void fill_bytes(std::vector<u8>& bytes, RandomKey key) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<u8>(random_bits(key, i / 4) >> (i % 4 * 8));
    }
  }

  // Makes the floats of a block moderate.
  void tame(u8* block, float value) const {
    switch (ref.format) {
      case MatrixFormat::kF32:
        std::memcpy(block, &value, sizeof value);
        break;
      case MatrixFormat::kBf16:
        std::memcpy(block, reinterpret_cast<const u8*>(&value) + 2, 2);
        break;
      case MatrixFormat::kF16:
        block[0] = static_cast<u8>(1000.0F * value);
        block[1] = value < 0.0F ? 0xB8 : 0x38;  // +-[1/2, 1)
        break;
      case MatrixFormat::kMxfp4:
        block[0] = static_cast<u8>(118 + block[0] % 8);  // an exponent: 2^-9 to 2^-2
        break;
      default:
        for (const i32 half : kernels::format_row(ref.format).halves) {
          if (half >= 0) {
            block[half + 1] = 0x24;  // in [2^-6, 2^-5)
          }
        }
    }
  }

  static constexpr float kNf4[16] = {-1.0F,        -0.6961928F,  -0.52507305F,  -0.3949175F,
                                     -0.28444138F, -0.18477343F, -0.091050036F, 0.0F,
                                     0.0795803F,   0.1609302F,   0.2461123F,    0.33791524F,
                                     0.44070983F,  0.562617F,    0.72295684F,   1.0F};

  std::vector<u8> bytes_, absmax_codes_;
  std::vector<float> absmax_, nested_code_;
  std::vector<i32> map_;
};

}  // namespace inlay::testing
