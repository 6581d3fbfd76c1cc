// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/matrix_decode.h"

// Decoders. Every value is computed by the f32 operations of the format's definition, in their
// order and each rounded on its own, so all instruction sets give the same bits.
//
// The GGUF blocks all decode in groups of 32 neighbouring values: a block of 32 is one group, a
// block of 256 is eight. One function a format decodes a group, written as plain loops that the
// compiler turns into vectors; `decode_groups` puts the groups together.
namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kGroup = 32;

i64 smaller(i64 a, i64 b) {
  return a < b ? a : b;
}

u16 load_u16(const u8* p) {
  return static_cast<u16>(p[0] | p[1] << 8);
}

u32 load_u32(const u8* p) {
  return load_u16(p) | static_cast<u32>(load_u16(p + 2)) << 16;
}

float load_half(const u8* p) {
  return f16_to_f32(load_u16(p));
}

void q8_0(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = load_half(block);
  for (i64 i = 0; i < kGroup; ++i) {
    out[i] = static_cast<float>(static_cast<i8>(block[2 + i])) * d;
  }
}

// Byte i of a block of 32 holds values i (low nibble) and i + 16 (high nibble).
void q4_0(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = load_half(block);
  const u8* q = block + 2;
  for (i64 i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((q[i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((q[i] >> 4) - 8) * d;
  }
}

void q4_1(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const u8* q = block + 4;
  for (i64 i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(q[i] & 15) * d + m;
    out[i + 16] = static_cast<float>(q[i] >> 4) * d + m;
  }
}

// Bit i of the word before the nibbles is the fifth bit of value i.
void q5_0(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = load_half(block);
  const u32 high = load_u32(block + 2);
  const u8* q = block + 6;
  for (i64 i = 0; i < 16; ++i) {
    const i32 first = (q[i] & 15) | static_cast<i32>(high >> i & 1U) << 4;
    const i32 second = (q[i] >> 4) | static_cast<i32>(high >> (i + 16) & 1U) << 4;
    out[i] = static_cast<float>(first - 16) * d;
    out[i + 16] = static_cast<float>(second - 16) * d;
  }
}

void q5_1(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = load_half(block);
  const float m = load_half(block + 2);
  const u32 high = load_u32(block + 4);
  const u8* q = block + 8;
  for (i64 i = 0; i < 16; ++i) {
    const i32 first = (q[i] & 15) | static_cast<i32>(high >> i & 1U) << 4;
    const i32 second = (q[i] >> 4) | static_cast<i32>(high >> (i + 16) & 1U) << 4;
    out[i] = static_cast<float>(first) * d + m;
    out[i + 16] = static_cast<float>(second) * d + m;
  }
}

// The scale and the minimum of each group of a Q4_K or Q5_K block: d, dmin, then eight pairs of 6
// bits in 12 bytes, the last four pairs with their top two bits parked above the first four.
struct KScale {
  float scale;
  float minimum;
};

KScale k_scale(const u8* block, i64 group) {
  const u8* s = block + 4;
  i32 scale = 0;
  i32 minimum = 0;
  if (group < 4) {
    scale = s[group] & 63;
    minimum = s[group + 4] & 63;
  } else {
    scale = (s[group + 4] & 15) | (s[group - 4] >> 6) << 4;
    minimum = (s[group + 4] >> 4) | (s[group] >> 6) << 4;
  }
  return {load_half(block) * static_cast<float>(scale),
          load_half(block + 2) * static_cast<float>(minimum)};
}

// Groups 2j and 2j + 1 are the low and the high nibbles of the same 32 bytes.
void q4_k(const u8* __restrict block, i64 group, float* __restrict out) {
  const KScale k = k_scale(block, group);
  const u8* q = block + 16 + group / 2 * kGroup;
  const int shift = group % 2 == 0 ? 0 : 4;
  for (i64 i = 0; i < kGroup; ++i) {
    out[i] = k.scale * static_cast<float>(q[i] >> shift & 15) - k.minimum;
  }
}

// As q4_k; the fifth bit of value i of group g is bit g of byte i.
void q5_k(const u8* __restrict block, i64 group, float* __restrict out) {
  const KScale k = k_scale(block, group);
  const u8* high = block + 16;
  const u8* q = block + 48 + group / 2 * kGroup;
  const int shift = group % 2 == 0 ? 0 : 4;
  const int bit = static_cast<int>(group);
  for (i64 i = 0; i < kGroup; ++i) {
    const i32 value = (q[i] >> shift & 15) | (high[i] >> bit & 1) << 4;
    out[i] = k.scale * static_cast<float>(value) - k.minimum;
  }
}

// Each half of the block holds four groups: nibbles of two runs of 32 bytes (low, low, high, high),
// the two top bits of all four in one run of 32 bytes, and a signed scale for every 16 values.
void q6_k(const u8* __restrict block, i64 group, float* __restrict out) {
  const i64 half = group / 4;
  const i64 quarter = group % 4;
  const float d = load_half(block + 208);
  const u8* low = block + half * 64 + quarter % 2 * kGroup;
  const u8* high = block + 128 + half * kGroup;
  const u8* scales = block + 192 + half * 8 + quarter * 2;
  const int shift = quarter < 2 ? 0 : 4;
  const int bits = static_cast<int>(quarter) * 2;
  for (i64 part = 0; part < 2; ++part) {
    const float scale = d * static_cast<float>(static_cast<i8>(scales[part]));
    for (i64 i = part * 16; i < part * 16 + 16; ++i) {
      const i32 value = (low[i] >> shift & 15) | (high[i] >> bits & 3) << 4;
      out[i] = scale * static_cast<float>(value - 32);
    }
  }
}

// The number 2^(e - 128), from 2^-128 on: half of the scale that the byte e stands for, as the
// entries of the code are twice its values.
float half_power_of_two(u8 e) {
  return __builtin_bit_cast(float, e < 2 ? 0x00200000U << e : static_cast<u32>(e - 1) << 23);
}

// Twice the values of a 4-bit float with two bits of exponent and one of mantissa (OCP Microscaling
// Formats 1.0, 2023).
constexpr i8 kTwiceE2m1[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void mxfp4(const u8* __restrict block, i64 /*group*/, float* __restrict out) {
  const float d = half_power_of_two(block[0]);
  const u8* q = block + 1;
  for (i64 i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(kTwiceE2m1[q[i] & 15]) * d;
    out[i + 16] = static_cast<float>(kTwiceE2m1[q[i] >> 4]) * d;
  }
}

// Whole groups go straight to `out`, the ragged ends through a copy.
template <MatrixFormat kFormat, auto kDecodeGroup>
void decode_groups(const u8* row, i64 col, i64 count, float* out) {
  constexpr i64 kBlockBytes = block_size(kFormat).bytes;
  constexpr i64 kGroupsInBlock = block_size(kFormat).values / kGroup;
  for (i64 done = 0; done < count;) {
    const i64 group = (col + done) / kGroup;
    const i64 skip = (col + done) % kGroup;
    const i64 n = smaller(kGroup - skip, count - done);
    const u8* block = row + group / kGroupsInBlock * kBlockBytes;
    if (n == kGroup) {
      kDecodeGroup(block, group % kGroupsInBlock, out + done);
    } else {
      float whole[kGroup];
      kDecodeGroup(block, group % kGroupsInBlock, whole);
      std::memcpy(out + done, whole + skip, sizeof(float) * n);
    }
    done += n;
  }
}

void decode_f32(const u8* row, i64 col, i64 count, float* out) {
  std::memcpy(out, row + col * 4, sizeof(float) * count);
}

template <auto kLoad, auto kLoadSome>
void decode_halves(const u8* row, i64 col, i64 count, float* out) {
  const u16* in = reinterpret_cast<const u16*>(row) + col;
  i64 i = 0;
  for (; i + Vec::kLanes <= count; i += Vec::kLanes) {
    kLoad(in + i).store(out + i);
  }
  if (i < count) {
    kLoadSome(in + i, count - i).store(out + i, count - i);
  }
}

void decode_bf16(const u8* row, i64 col, i64 count, float* out) {
  decode_halves<[](const u16* p) { return Vec::load_bf16(p); },
                [](const u16* p, i64 n) { return Vec::load_bf16(p, n); }>(row, col, count, out);
}

void decode_f16(const u8* row, i64 col, i64 count, float* out) {
  decode_halves<[](const u16* p) { return Vec::load_f16(p); },
                [](const u16* p, i64 n) { return Vec::load_f16(p, n); }>(row, col, count, out);
}

// ---- four bits: a 16-entry code times the scale of the block

// The code times a block's scale: looking up in it gives code[q] * scale, rounded once, as defined.
// `look_up` decodes kLanes values from kLanes / 2 bytes, high nibble first, or low where so said.
#if defined(__AVX512F__)

struct ScaledCode {
  static constexpr i64 kLanes = 16;
  __m512 entries;

  __m512i shifts;

  ScaledCode(const float* code, float scale, bool low_first)
      : entries(_mm512_mul_ps(_mm512_loadu_ps(code), _mm512_set1_ps(scale))) {
    const __m512i high_first =
        _mm512_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24, 4, 0, 12, 8, 20, 16, 28, 24);
    shifts = low_first ? _mm512_xor_si512(high_first, _mm512_set1_epi32(4)) : high_first;
  }

  void look_up(const u8* nibbles, float* out) const {
    i32 words[2];
    std::memcpy(words, nibbles, sizeof words);
    const __m512i both =
        _mm512_mask_set1_epi32(_mm512_set1_epi32(words[0]), __mmask16{0xFF00}, words[1]);
    // vpermps reads the low four bits of each index only.
    _mm512_storeu_ps(out, _mm512_permutexvar_ps(_mm512_srlv_epi32(both, shifts), entries));
  }
};

#elif defined(__AVX2__)

struct ScaledCode {
  static constexpr i64 kLanes = 8;
  __m256 low, high;
  __m256i shifts;

  ScaledCode(const float* code, float scale, bool low_first)
      : low(_mm256_mul_ps(_mm256_loadu_ps(code), _mm256_set1_ps(scale))),
        high(_mm256_mul_ps(_mm256_loadu_ps(code + 8), _mm256_set1_ps(scale))) {
    const __m256i high_first = _mm256_setr_epi32(4, 0, 12, 8, 20, 16, 28, 24);
    shifts = low_first ? _mm256_xor_si256(high_first, _mm256_set1_epi32(4)) : high_first;
  }

  void look_up(const u8* nibbles, float* out) const {
    i32 word = 0;
    std::memcpy(&word, nibbles, sizeof word);
    const __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(word), shifts);
    // vpermps reads three bits of the index; the fourth, moved to the sign, chooses the half.
    const __m256 top = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    const __m256 values = _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index),
                                           _mm256_permutevar8x32_ps(high, index), top);
    _mm256_storeu_ps(out, values);
  }
};

#else

struct ScaledCode {
  static constexpr i64 kLanes = 2;
  float entries[16];
  int first, second;

  ScaledCode(const float* code, float scale, bool low_first)
      : first(low_first ? 0 : 4), second(4 - first) {
    for (i64 q = 0; q < 16; ++q) {
      entries[q] = code[q] * scale;
    }
  }

  void look_up(const u8* nibbles, float* out) const {
    out[0] = entries[*nibbles >> first & 15];
    out[1] = entries[*nibbles >> second & 15];
  }
};

#endif

u8 nibble(const u8* nibbles, i64 index, bool low_first) {
  return (index % 2 == 0) != low_first ? nibbles[index / 2] >> 4 : nibbles[index / 2] & 15;
}

// Values [first, first + count) of one block.
void decode_block(const u8* nibbles, const FourBitScales& scales, float scale, i64 first, i64 count,
                  float* out) {
  const float* code = scales.code;
  const ScaledCode scaled(code, scale, scales.low_first);
  i64 i = 0;
  // A block or a request may begin inside a byte; look_up() starts at whole ones.
  if (first % 2 != 0 && count > 0) {
    out[i++] = code[nibble(nibbles, first, scales.low_first)] * scale;
  }
  for (; i + ScaledCode::kLanes <= count; i += ScaledCode::kLanes) {
    scaled.look_up(nibbles + (first + i) / 2, out + i);
  }
  for (; i < count; ++i) {
    out[i] = code[nibble(nibbles, first + i, scales.low_first)] * scale;
  }
}

void decode_four_bit(const u8* nibbles, const FourBitScales& scales, i64 first, i64 count,
                     float* out) {
  for (i64 done = 0; done < count;) {
    const i64 at = first + done;
    const i64 block = at / scales.block_size;
    const i64 n = smaller((block + 1) * scales.block_size - at, count - done);
    decode_block(nibbles, scales, four_bit_scale(scales, block), at, n, out + done);
    done += n;
  }
}

}  // namespace

const MatrixDecoders kMatrixDecoders = {
    {decode_f32, decode_f16, decode_bf16,
     nullptr,  // 4-bit: by its place in the whole matrix
     decode_groups<MatrixFormat::kQ8_0, q8_0>, decode_groups<MatrixFormat::kQ4_0, q4_0>,
     decode_groups<MatrixFormat::kQ4_1, q4_1>, decode_groups<MatrixFormat::kQ5_0, q5_0>,
     decode_groups<MatrixFormat::kQ5_1, q5_1>, decode_groups<MatrixFormat::kQ4_K, q4_k>,
     decode_groups<MatrixFormat::kQ5_K, q5_k>, decode_groups<MatrixFormat::kQ6_K, q6_k>,
     decode_groups<MatrixFormat::kMxfp4, mxfp4>},
    decode_four_bit};

}  // namespace inlay::kernels::INLAY_ISA
