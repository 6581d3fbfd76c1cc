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

/// Group `group` of the rows.
struct Place {
  const u8* const* rows;
  i64 group;
  const float* scales;  // kFourBit: of the group, by row
};

enum class Storing { kBlocks, kDense, kFourBit };

/// Each format: a decoded group, whose value k of every row is value<k>().
template <i64 kBytes>
struct Blocks {
  static constexpr i64 kBlockBytes = kBytes;
  static constexpr int kValues = kGroup;
  static constexpr Storing kStoring = Storing::kBlocks;
};

struct Q8_0 : Blocks<34> {
  Words words[8];
  Vec d;

  INLAY_INLINE explicit Q8_0(const Place& p)
      : d(low_halves(gathered_words(p.rows, p.group * kBlockBytes))) {
    transposed_words(p.rows, p.group * kBlockBytes + 2, words);
    transposed_words(p.rows, p.group * kBlockBytes + 18, words + 4);
    for (Words& w : words) {
      w = w ^ set_words(0x80808080U);  // q + 128
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return centred_times<At::kFrom, 128>(field<At::kFrom, 8>(At::of(words)), d);
  }
};

struct Q4_0 : Blocks<18> {
  Words words[4];
  Vec d;

  INLAY_INLINE explicit Q4_0(const Place& p)
      : d(low_halves(gathered_words(p.rows, p.group * kBlockBytes))) {
    transposed_words(p.rows, p.group * kBlockBytes + 2, words);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    return centred_times<At::kFrom, 8>(field<At::kFrom, 4>(At::of(words)), d);
  }
};

struct Q4_1 : Blocks<20> {
  Words words[4];
  Vec d, m;

  INLAY_INLINE explicit Q4_1(const Place& p) {
    const Words head = gathered_words(p.rows, p.group * kBlockBytes);
    d = low_halves(head);
    m = high_halves(head);
    transposed_words(p.rows, p.group * kBlockBytes + 4, words);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    return times<At::kFrom>(field<At::kFrom, 4>(At::of(words)), d) + m;
  }
};

struct Q5_0 : Blocks<22> {
  Words words[4];
  Words bits;
  Vec d;

  INLAY_INLINE explicit Q5_0(const Place& p)
      : bits(gathered_words(p.rows, p.group * kBlockBytes + 2)),
        d(low_halves(gathered_words(p.rows, p.group * kBlockBytes))) {
    transposed_words(p.rows, p.group * kBlockBytes + 6, words);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    const Words nibble = field<At::kFrom, 4>(At::of(words));
    return centred_times<At::kFrom, 16>(with_fifth_bit<At::kFrom, k>(nibble, bits), d);
  }
};

struct Q5_1 : Blocks<24> {
  Words words[4];
  Words bits;
  Vec d, m;

  INLAY_INLINE explicit Q5_1(const Place& p)
      : bits(gathered_words(p.rows, p.group * kBlockBytes + 4)) {
    const Words head = gathered_words(p.rows, p.group * kBlockBytes);
    d = low_halves(head);
    m = high_halves(head);
    transposed_words(p.rows, p.group * kBlockBytes + 8, words);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    const Words nibble = field<At::kFrom, 4>(At::of(words));
    return times<At::kFrom>(with_fifth_bit<At::kFrom, k>(nibble, bits), d) + m;
  }
};

/// Thirty-two bytes of each row.
INLAY_INLINE void thirty_two_bytes(const u8* const* rows, i64 offset, Words* words) {
  transposed_words(rows, offset, words);
  transposed_words(rows, offset + 16, words + 4);
}

/// Scale and minimum of a group: where the block keeps their six bits is told in matrix.isa.cc.
template <i64 kBytes>
struct KBlocks : Blocks<kBytes> {
  Words words[8];
  Vec scale, minimum;

  INLAY_INLINE explicit KBlocks(const Place& p) {
    Words head[4];  // d and dmin, then the twelve bytes
    transposed_words(p.rows, p.group / 8 * kBytes, head);
    const int byte = static_cast<int>(p.group % 4) * 8;
    const Words first = shifted_right(head[1], byte), second = shifted_right(head[2], byte);
    Words s = first & set_words(63), m = second & set_words(63);
    if (p.group % 8 >= 4) {
      const Words third = shifted_right(head[3], byte);
      s = and_or(shifted<-2>(first), set_words(0x30), third & set_words(15));
      m = and_or(shifted<-2>(second), set_words(0x30), shifted<-4>(third) & set_words(15));
    }
    scale = low_halves(head[0]) * signed_byte<0>(s);
    minimum = high_halves(head[0]) * signed_byte<0>(m);
  }
};

struct Q4_K : KBlocks<144> {
  INLAY_INLINE explicit Q4_K(const Place& p) : KBlocks(p) {
    const i64 in_block = p.group % 8;
    thirty_two_bytes(p.rows, p.group / 8 * 144 + 16 + in_block / 2 * 32, words);
    for (Words& w : words) {
      w = shifted_right(w, in_block % 2 == 0 ? 0 : 4);
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return times<At::kFrom>(field<At::kFrom, 4>(At::of(words)), scale) - minimum;
  }
};

struct Q5_K : KBlocks<176> {
  INLAY_INLINE explicit Q5_K(const Place& p) : KBlocks(p) {
    const i64 in_block = p.group % 8, block = p.group / 8 * 176;
    Words high[8];
    thirty_two_bytes(p.rows, block + 16, high);
    thirty_two_bytes(p.rows, block + 48 + in_block / 2 * 32, words);
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(words[i], in_block % 2 == 0 ? 0 : 4);
      const Words fifth = shifted<4>(shifted_right(high[i], static_cast<int>(in_block)));
      words[i] = and_or(fifth, set_words(0x10101010U), nibbles & set_words(0x0F0F0F0FU));
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return times<At::kFrom>(field<At::kFrom, 5>(At::of(words)), scale) - minimum;
  }
};

struct Q6_K : Blocks<210> {
  Words words[8];
  Vec scale[2];

  INLAY_INLINE explicit Q6_K(const Place& p) {
    const i64 in_block = p.group % 8, block = p.group / 8 * 210;
    const i64 quarter = in_block % 4;
    Words high[8];
    thirty_two_bytes(p.rows, block + in_block / 4 * 64 + quarter % 2 * 32, words);
    thirty_two_bytes(p.rows, block + 128 + in_block / 4 * 32, high);
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(words[i], quarter < 2 ? 0 : 4);
      const Words top = shifted<4>(shifted_right(high[i], static_cast<int>(quarter) * 2));
      words[i] = and_or(top, set_words(0x30303030U), nibbles & set_words(0x0F0F0F0FU));
    }
    // d is the last half of the block; no byte behind it may be read.
    const Vec d = high_halves(gathered_words(p.rows, block + 206));
    const Words scales = gathered_words(p.rows, block + 192 + in_block * 2);
    scale[0] = d * signed_byte<0>(scales);
    scale[1] = d * signed_byte<8>(scales);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return centred_times<At::kFrom, 32>(field<At::kFrom, 6>(At::of(words)), scale[k / 16]);
  }
};

struct FourBit {
  static constexpr Storing kStoring = Storing::kFourBit;
  static constexpr int kValues = 32;
  Words words[4];
  Vec scale;
  Code code;

  INLAY_INLINE FourBit(const Place& p, const float* entries)
      : scale(Vec::load(p.scales)), code(entries) {
    transposed_words(p.rows, p.group * 16, words);
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    constexpr int kFrom = k % 8 / 2 * 8 + (k % 2 == 0 ? 4 : 0);  // the high nibble first
    return code[shifted<-kFrom>(words[k / 8])] * scale;
  }
};

template <int kBytes>
struct Dense {
  static constexpr Storing kStoring = Storing::kDense;
  static constexpr int kValueBytes = kBytes, kValues = 16 / kBytes;
  Words words[4];

  INLAY_INLINE explicit Dense(const Place& p) { transposed_words(p.rows, p.group * 16, words); }
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
