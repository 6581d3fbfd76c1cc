// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/gemm_stored_rows.h"
#include "core/kernels/simd_words.h"

// Groups of values of many stored rows, decoded in registers: a type for each MatrixFormat.
namespace inlay::kernels::INLAY_ISA {

#if defined(__AVX512F__) || defined(__AVX2__)

namespace {

constexpr i64 kGroup = 32;  // values decoded together; every block is a whole number of groups
constexpr i64 kLanes = Vec::kLanes;

/// Group `group` of a block of each row, whose first byte is byte `byte` of the transposed words.
struct Place {
  Words* words;
  i64 byte;
  i64 group;
};

enum class Storing { kBlocks, kDense, kFourBit };

/// Each format: a decoded group, whose value k of every row is value<k>(). Blocks are transposed
/// some at a time, kRun of them: few are whole numbers of 16 bytes by themselves.
template <i64 kBytes, i64 kInBlock = 1>
struct Blocks {
  static constexpr i64 kBlockBytes = kBytes;
  static constexpr i64 kGroups = kInBlock;  // in a block
  static constexpr i64 kRun = kInBlock == 1 ? 4 : 1;
  static constexpr int kValues = kGroup;
  static constexpr Storing kStoring = Storing::kBlocks;
};

/// The half at a byte of the block.
INLAY_INLINE Vec half_at(const Place& p, i64 byte) {
  const Words word = p.words[(p.byte + byte) / 4];
  return (p.byte + byte) % 4 == 0 ? low_halves(word) : high_halves(word);
}

/// `count` words from a byte of the block on. In every other block of a format they lie across
/// two words, and are put right where they are: the halves before them have been read.
INLAY_INLINE const Words* words_at(const Place& p, i64 byte, int count) {
  Words* words = p.words + (p.byte + byte) / 4;
  if ((p.byte + byte) % 4 != 0) {
    for (int i = 0; i < count; ++i) {
      words[i] = high_then_low(words[i], words[i + 1]);
    }
  }
  return words;
}

struct Q8_0 : Blocks<34> {
  Vec d;
  const Words* words;

  INLAY_INLINE explicit Q8_0(const Place& p) : d(half_at(p, 0)), words(words_at(p, 2, 8)) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    constexpr int kFrom = At::kFieldFrom;
    return centred<kFrom, 128>(signed_field<kFrom>(At::field_of(words))) * d;
  }
};

struct Q4_0 : Blocks<18> {
  Vec d;
  const Words* words;

  INLAY_INLINE explicit Q4_0(const Place& p) : d(half_at(p, 0)), words(words_at(p, 2, 4)) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    return nibble<At::kFrom, 8>(At::of(words)) * d;
  }
};

struct Q4_1 : Blocks<20> {
  const Words* words;
  Vec d, m;

  INLAY_INLINE explicit Q4_1(const Place& p)
      : words(p.words + p.byte / 4 + 1), d(low_halves(words[-1])), m(high_halves(words[-1])) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    return fma(nibble<At::kFrom, 0>(At::of(words)), d, m);
  }
};

/// q - kCentre for five bits, the fifth in `words[0]`.
template <int k, int kCentre>
INLAY_INLINE Vec five_bits(const Words* words) {
  using At = SplitNibble<k>;
  constexpr int kFrom = At::kFieldFrom;
  const Words four = field<kFrom, 4>(At::field_of(words + 1));
  return centred<kFrom, kCentre>(with_fifth_bit<kFrom, k>(four, words[0]));
}

struct Q5_0 : Blocks<22> {
  Vec d;
  const Words* words;

  INLAY_INLINE explicit Q5_0(const Place& p) : d(half_at(p, 0)), words(words_at(p, 2, 5)) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    return five_bits<k, 16>(words) * d;
  }
};

struct Q5_1 : Blocks<24> {
  const Words* words;
  Vec d, m;

  INLAY_INLINE explicit Q5_1(const Place& p)
      : words(p.words + p.byte / 4 + 1), d(low_halves(words[-1])), m(high_halves(words[-1])) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    return fma(five_bits<k, 0>(words), d, m);
  }
};

/// Scale and minimum of a group: where the block keeps their six bits is told in matrix.isa.cc.
template <i64 kBytes>
struct KBlocks : Blocks<kBytes, 8> {
  Words words[8];
  Vec scale, minus_minimum;

  INLAY_INLINE explicit KBlocks(const Place& p) {
    const Words* head = p.words + p.byte / 4;  // d and dmin, then the twelve bytes
    const int byte = static_cast<int>(p.group % 4) * 8;
    const Words first = shifted_right(head[1], byte), second = shifted_right(head[2], byte);
    Words s = first & set_words(63), m = second & set_words(63);
    if (p.group >= 4) {
      const Words third = shifted_right(head[3], byte);
      s = and_or(shifted<-2>(first), set_words(0x30), third & set_words(15));
      m = and_or(shifted<-2>(second), set_words(0x30), shifted<-4>(third) & set_words(15));
    }
    scale = low_halves(head[0]) * signed_byte<0>(s);
    minus_minimum = -(high_halves(head[0]) * signed_byte<0>(m));
  }
};

struct Q4_K : KBlocks<144> {
  INLAY_INLINE explicit Q4_K(const Place& p) : KBlocks(p) {
    const Words* nibbles = p.words + (p.byte + 16 + p.group / 2 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      words[i] = shifted_right(nibbles[i], p.group % 2 == 0 ? 0 : 4);
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return fma(nibble<At::kFrom, 0>(At::of(words)), scale, minus_minimum);
  }
};

struct Q5_K : KBlocks<176> {
  INLAY_INLINE explicit Q5_K(const Place& p) : KBlocks(p) {
    const Words* high = p.words + (p.byte + 16) / 4;
    const Words* low = p.words + (p.byte + 48 + p.group / 2 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(low[i], p.group % 2 == 0 ? 0 : 4);
      const Words fifth = shifted<4>(shifted_right(high[i], static_cast<int>(p.group)));
      words[i] = and_or(fifth, set_words(0x10101010U), nibbles & set_words(0x0F0F0F0FU));
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    constexpr int kFrom = At::kFieldFrom;
    return fma(centred<kFrom, 0>(field<kFrom, 5>(At::field_of(words))), scale, minus_minimum);
  }
};

struct Q6_K : Blocks<210, 8> {
  Words words[8];
  Vec scale[2];

  INLAY_INLINE explicit Q6_K(const Place& p) {
    const i64 quarter = p.group % 4;
    const Words* low = p.words + (p.byte + p.group / 4 * 64 + quarter % 2 * 32) / 4;
    const Words* high = p.words + (p.byte + 128 + p.group / 4 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(low[i], quarter < 2 ? 0 : 4);
      const Words top = shifted<4>(shifted_right(high[i], static_cast<int>(quarter) * 2));
      words[i] = and_or(top, set_words(0x30303030U), nibbles & set_words(0x0F0F0F0FU));
    }
    const Vec d = half_at(p, 208);
    const Words scales =
        shifted_right(p.words[(p.byte + 192 + p.group / 2 * 4) / 4], p.group % 2 == 0 ? 0 : 16);
    scale[0] = d * signed_byte<0>(scales);
    scale[1] = d * signed_byte<8>(scales);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    constexpr int kFrom = At::kFieldFrom;
    return centred<kFrom, 32>(field<kFrom, 6>(At::field_of(words))) * scale[k / 16];
  }
};

struct FourBit : Blocks<16> {
  static constexpr Storing kStoring = Storing::kFourBit;
  const Words* words;
  Vec scale;
  Code code;

  INLAY_INLINE FourBit(const Place& p, const float* scales, const float* entries)
      : words(p.words + p.byte / 4), scale(Vec::load(scales)), code(entries) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    constexpr int kFrom = k % 8 / 2 * 8 + (k % 2 == 0 ? 4 : 0);  // the high nibble first
    return code[shifted<-kFrom>(words[k / 8])] * scale;
  }
};

/// Dense formats: 16 bytes of each row.
template <int kBytes>
struct Dense {
  static constexpr Storing kStoring = Storing::kDense;
  static constexpr int kValueBytes = kBytes, kValues = 16 / kBytes;
  Words words[4];

  INLAY_INLINE Dense(const u8* const* rows, i64 group) {
    transposed_words(rows, group * 16, words);
  }
};

struct F32 : Dense<4> {
  using Dense::Dense;
  template <int k>
  INLAY_INLINE Vec value() const {
    return as_floats(words[k]);
  }
};

struct Bf16 : Dense<2> {
  using Dense::Dense;
  template <int k>
  INLAY_INLINE Vec value() const {
    return as_floats(k % 2 == 0 ? shifted<16>(words[k / 2])
                                : words[k / 2] & set_words(0xFFFF0000U));
  }
};

struct F16 : Dense<2> {
  using Dense::Dense;
  template <int k>
  INLAY_INLINE Vec value() const {
    return k % 2 == 0 ? low_halves(words[k / 2]) : high_halves(words[k / 2]);
  }
};

}  // namespace

#endif

}  // namespace inlay::kernels::INLAY_ISA
