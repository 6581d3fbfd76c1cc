// SPDX-License-Identifier: Apache-2.0
#include "quant/gguf_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>

#include "core/error.h"
#include "core/kernels/convert.h"
#include "core/memory/memory.h"
#include "core/parallel.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;

constexpr i64 kHalf = kGgufBlockValues / 2;
using Block = std::span<const float, kGgufBlockValues>;
using Codes = std::array<u8, kGgufBlockValues>;

u16 half(float x) {
  u16 bits = 0;
  kernels::f32_to_f16(std::span(&x, 1), std::span(&bits, 1));
  return bits;
}

u8* put_half(u8* out, float x) {
  const u16 bits = half(x);
  std::memcpy(out, &bits, sizeof bits);
  return out + sizeof bits;
}

/// The scale's reciprocal as ggml takes it: 0 for a block of zeros.
float reciprocal_of(float d) {
  return d != 0.0F ? 1.0F / d : 0.0F;
}

void put_nibbles(u8* out, const Codes& codes) {
  for (i64 j = 0; j < kHalf; ++j) {
    out[j] = static_cast<u8>((codes[j] & 15U) | (codes[j + kHalf] & 15U) << 4);
  }
}

u8* put_fifth_bits(u8* out, const Codes& codes) {
  u32 bits = 0;
  for (i64 k = 0; k < kGgufBlockValues; ++k) {
    bits |= static_cast<u32>(codes[k] >> 4 & 1U) << k;
  }
  std::memcpy(out, &bits, sizeof bits);
  return out + sizeof bits;
}

/// Codes 0 … 2 * middle - 1 around `middle`, for the element of largest magnitude, the first of
/// equals, to come out exactly as code 0. Returns d.
float symmetric_codes(Block x, int middle, Codes& codes) {
  const float extreme = *std::max_element(
      x.begin(), x.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); });
  const float d = extreme / static_cast<float>(-middle);
  const float reciprocal = reciprocal_of(d);
  for (i64 j = 0; j < kGgufBlockValues; ++j) {
    const int code = static_cast<int>(x[j] * reciprocal + (static_cast<float>(middle) + 0.5F));
    codes[j] = static_cast<u8>(std::min(2 * middle - 1, code));
  }
  return d;
}

struct ScaleAndMin {
  float d, m;
};

/// Codes 0 … levels between the smallest value and the largest.
ScaleAndMin affine_codes(Block x, int levels, Codes& codes) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const float d = (*high - *low) / static_cast<float>(levels);
  const float reciprocal = reciprocal_of(d);
  for (i64 j = 0; j < kGgufBlockValues; ++j) {
    // NOLINTNEXTLINE(bugprone-incorrect-roundings): what ggml does, to the bit
    const int code = static_cast<int>((x[j] - *low) * reciprocal + 0.5F);
    codes[j] = static_cast<u8>(std::min(levels, code));
  }
  return {d, *low};
}

void encode_q8_0(Block x, u8* out) {
  float largest = 0.0F;
  for (const float value : x) {
    largest = std::max(largest, std::fabs(value));
  }
  const float d = largest / 127.0F;
  const float reciprocal = reciprocal_of(d);
  out = put_half(out, d);
  for (i64 j = 0; j < kGgufBlockValues; ++j) {
    out[j] = static_cast<u8>(static_cast<i8>(std::round(x[j] * reciprocal)));
  }
}

void encode_q4_0(Block x, u8* out) {
  Codes codes;
  out = put_half(out, symmetric_codes(x, 8, codes));
  put_nibbles(out, codes);
}

void encode_q4_1(Block x, u8* out) {
  Codes codes;
  const ScaleAndMin scale = affine_codes(x, 15, codes);
  out = put_half(put_half(out, scale.d), scale.m);
  put_nibbles(out, codes);
}

void encode_q5_0(Block x, u8* out) {
  Codes codes;
  out = put_half(out, symmetric_codes(x, 16, codes));
  put_nibbles(put_fifth_bits(out, codes), codes);
}

void encode_q5_1(Block x, u8* out) {
  Codes codes;
  const ScaleAndMin scale = affine_codes(x, 31, codes);
  out = put_half(put_half(out, scale.d), scale.m);
  put_nibbles(put_fifth_bits(out, codes), codes);
}

/// Row `row`, or the DataError that says what cannot be encoded in it. A half reaches 65504.
/// Compiled for each format: with the length of its block known the loops over it become vectors.
template <MatrixFormat kFormat, auto kEncode>
void encode_row(const kernels::MatrixRef& source, i64 row, u8* out) {
  constexpr kernels::BlockSize kBlock = kernels::block_size(kFormat);
  std::array<float, kBlock.values> x;
  for (i64 col = 0; col < source.cols; col += kBlock.values) {
    kernels::decode_row(source, row, col, kBlock.values, x.data());
    if (!std::all_of(x.begin(), x.end(), [](float v) { return std::fabs(v) <= 65504.0F; })) {
      throw DataError(str("row ", row, ", columns ", col, " to ", col + kBlock.values - 1,
                          ": a value is not finite or over 65504, which ",
                          kernels::format_name(kFormat), " cannot hold"));
    }
    kEncode(x, out);
    out += kBlock.bytes;
  }
}

struct Encoder {
  MatrixFormat format;
  void (*block)(std::span<const float> x, u8* out);
  void (*row)(const kernels::MatrixRef& source, i64 row, u8* out);
};

template <MatrixFormat kFormat, auto kEncode>
constexpr Encoder encoder() {
  return {kFormat,
          [](std::span<const float> x, u8* out) {
            kEncode(x.first<static_cast<std::size_t>(kernels::block_size(kFormat).values)>(), out);
          },
          encode_row<kFormat, kEncode>};
}

/// Every format that can be written, with the function for a block of it.
constexpr Encoder kEncoders[] = {
    encoder<MatrixFormat::kQ8_0, encode_q8_0>(), encoder<MatrixFormat::kQ4_0, encode_q4_0>(),
    encoder<MatrixFormat::kQ4_1, encode_q4_1>(), encoder<MatrixFormat::kQ5_0, encode_q5_0>(),
    encoder<MatrixFormat::kQ5_1, encode_q5_1>()};

const Encoder* find_encoder(MatrixFormat format) {
  const auto* found = std::ranges::find(kEncoders, format, &Encoder::format);
  return found == std::end(kEncoders) ? nullptr : found;
}

}  // namespace

bool can_encode_gguf(MatrixFormat format) {
  return find_encoder(format) != nullptr;
}

void encode_gguf_block(MatrixFormat format, std::span<const float> x, std::span<u8> out) {
  const Encoder* encoder = find_encoder(format);
  INLAY_ASSERT(encoder != nullptr);
  INLAY_ASSERT(std::ssize(x) == kernels::block_size(format).values &&
               std::ssize(out) == kernels::block_size(format).bytes);
  encoder->block(x, out.data());
}

FrozenMatrix encode_gguf(const kernels::MatrixRef& source, MatrixFormat format) {
  const Encoder* encoder = find_encoder(format);
  INLAY_ASSERT(encoder != nullptr);
  const kernels::BlockSize block = kernels::block_size(format);
  if (source.cols % block.values != 0) {
    throw DataError(str("rows of ", source.cols, " values are not whole ",
                        kernels::format_name(format), " blocks of ", block.values));
  }
  const MemoryScope scope(MemoryClass::kWeights);
  MatrixParts parts;
  parts.format = format;
  parts.rows = source.rows;
  parts.cols = source.cols;
  parts.row_bytes = source.cols / block.values * block.bytes;
  parts.data = Tensor::empty({source.rows * parts.row_bytes}, DType::kU8);
  u8* const out = parts.data.data<u8>();
  parallel_for(source.rows,
               [&](i64 row) { encoder->row(source, row, out + row * parts.row_bytes); });
  return FrozenMatrix(std::move(parts));
}

}  // namespace inlay
