// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/simd_words.h"
#include "core/kernels/cpu/products/gemm_stored_rows.h"

// Groups of values of many stored rows, decoded in registers: a type for each MatrixFormat (see
// StoredFormats).
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
template <MatrixFormat kFormat>
struct Blocks {
  static constexpr i64 kBlockBytes = block_size(kFormat).bytes;
  static constexpr i64 kGroups = block_size(kFormat).values / kGroup;  // in a block
  static constexpr i64 kRun = kGroups == 1 ? 4 : 1;
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

/// Blocks of numbers of kBits at every kStep-th bit of the words from `words` on: q d + m.
template <MatrixFormat kFormat, int kStep, int kBits>
struct ScaledNumbers : Blocks<kFormat> {
  PlaceScales<kStep, kBits> scales;
  Vec m;
  const Words* words;

  INLAY_INLINE ScaledNumbers(Vec d, Vec minimum, const Words* first)
      : scales(d), m(minimum), words(first) {}
};

/// Signed bytes, each of which, its sign turned over, is that number plus 128.
template <MatrixFormat kFormat>
struct SignedBytes : ScaledNumbers<kFormat, 8, 8> {
  using ScaledNumbers<kFormat, 8, 8>::ScaledNumbers;
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    const Words unsigned_bytes = this->words[At::kWord] ^ set_words(0x80808080U);
    return this->scales.template scaled<At::kFrom>(unsigned_bytes, this->m);
  }
};

/// Sixteen low nibbles, then the high ones.
template <MatrixFormat kFormat>
struct Nibbles : ScaledNumbers<kFormat, 4, 4> {
  using ScaledNumbers<kFormat, 4, 4>::ScaledNumbers;
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    return this->scales.template scaled<At::kFrom>(this->words[At::kWord], this->m);
  }
};

/// The same with a fifth bit, bit k of the first word.
template <MatrixFormat kFormat>
struct FiveBits : ScaledNumbers<kFormat, 4, 5> {
  using ScaledNumbers<kFormat, 4, 5>::ScaledNumbers;
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = SplitNibble<k>;
    // The nibble that ends with the word leaves no place for a fifth bit.
    constexpr int kDown = At::kFrom == 28 ? 4 : 0, kFrom = At::kFrom - kDown;
    const Words four = shifted<-kDown>(this->words[1 + At::kWord]) & set_words(15U << kFrom);
    const Words fifth = shifted<kFrom + 4 - k>(this->words[0]);
    return this->scales.template scaled_alone<kFrom>(and_or(fifth, set_words(16U << kFrom), four),
                                                     this->m);
  }
};

/// d, then the numbers in kWords words: (q - kCentre) d.
template <class Values, int kCentre, int kWords>
struct Centred : Values {
  INLAY_INLINE explicit Centred(const Place& p) : Centred(p, half_at(p, 0)) {}
  INLAY_INLINE Centred(const Place& p, Vec d)
      : Values(d, d * Vec::set(-static_cast<float>(kCentre)), words_at(p, 2, kWords)) {}
};
using Q8_0 = Centred<SignedBytes<MatrixFormat::kQ8_0>, 128, 8>;
using Q4_0 = Centred<Nibbles<MatrixFormat::kQ4_0>, 8, 4>;
using Q5_0 = Centred<FiveBits<MatrixFormat::kQ5_0>, 16, 5>;

/// d and m, then the numbers: q d + m.
template <class Values>
struct WithMinimum : Values {
  INLAY_INLINE explicit WithMinimum(const Place& p) : WithMinimum(p.words + p.byte / 4) {}
  INLAY_INLINE explicit WithMinimum(const Words* block)
      : Values(low_halves(block[0]), high_halves(block[0]), block + 1) {}
};
using Q4_1 = WithMinimum<Nibbles<MatrixFormat::kQ4_1>>;
using Q5_1 = WithMinimum<FiveBits<MatrixFormat::kQ5_1>>;

/// Scale and minimum of a group: where the block keeps their six bits is told in matrix.isa.cc.
struct ScaleAndMinimum {
  Vec scale, minus_minimum;

  INLAY_INLINE explicit ScaleAndMinimum(const Place& p) {
    const Words* head = p.words + p.byte / 4;  // d and dmin, then the twelve bytes
    const int byte = static_cast<int>(p.group % 4) * 8;
    const Words first = shifted_right(head[1], byte), second = shifted_right(head[2], byte);
    Words s = first & set_words(63), m = second & set_words(63);
    if (p.group >= 4) {
      const Words third = shifted_right(head[3], byte);
      s = and_or(shifted<-2>(first), set_words(0x30), third & set_words(15));
      m = and_or(shifted<-2>(second), set_words(0x30), shifted<-4>(third) & set_words(15));
    }
    scale = low_halves(head[0]) * to_floats(s);
    minus_minimum = -(high_halves(head[0]) * to_floats(m));
  }
};

/// q scale - minimum, for numbers of kBits, one a byte.
template <MatrixFormat kFormat, int kBits>
struct KBlocks : Blocks<kFormat> {
  PlaceScales<8, kBits> scales;
  Vec minus_minimum;
  Words words[8];

  INLAY_INLINE explicit KBlocks(const ScaleAndMinimum& both)
      : scales(both.scale), minus_minimum(both.minus_minimum) {}
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return scales.template scaled<At::kFrom>(words[At::kWord], minus_minimum);
  }
};

struct Q4_K : KBlocks<MatrixFormat::kQ4_K, 4> {
  INLAY_INLINE explicit Q4_K(const Place& p) : KBlocks(ScaleAndMinimum(p)) {
    const Words* nibbles = p.words + (p.byte + 16 + p.group / 2 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      words[i] = shifted_right(nibbles[i], p.group % 2 == 0 ? 0 : 4);
    }
  }
};

struct Q5_K : KBlocks<MatrixFormat::kQ5_K, 5> {
  INLAY_INLINE explicit Q5_K(const Place& p) : KBlocks(ScaleAndMinimum(p)) {
    const Words* high = p.words + (p.byte + 16) / 4;
    const Words* low = p.words + (p.byte + 48 + p.group / 2 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(low[i], p.group % 2 == 0 ? 0 : 4);
      const Words fifth = shifted<4>(shifted_right(high[i], static_cast<int>(p.group)));
      words[i] = and_or(fifth, set_words(0x10101010U), nibbles & set_words(0x0F0F0F0FU));
    }
  }
};

/// The two scales of a group, of 16 values each.
struct TwoScales {
  Vec of[2];

  INLAY_INLINE explicit TwoScales(const Place& p) {
    const Vec d = half_at(p, 208);
    const Words scales =
        shifted_right(p.words[(p.byte + 192 + p.group / 2 * 4) / 4], p.group % 2 == 0 ? 0 : 16);
    of[0] = d * signed_byte<0>(scales);
    of[1] = d * signed_byte<8>(scales);
  }
};

struct Q6_K : Blocks<MatrixFormat::kQ6_K> {
  PlaceScales<8, 6> scales[2];
  Vec minus_32d[2];
  Words words[8];

  INLAY_INLINE explicit Q6_K(const Place& p) : Q6_K(p, TwoScales(p)) {}
  INLAY_INLINE Q6_K(const Place& p, const TwoScales& s)
      : scales{PlaceScales<8, 6>(s.of[0]), PlaceScales<8, 6>(s.of[1])},
        minus_32d{s.of[0] * Vec::set(-32.0F), s.of[1] * Vec::set(-32.0F)} {
    const i64 quarter = p.group % 4;
    const Words* low = p.words + (p.byte + p.group / 4 * 64 + quarter % 2 * 32) / 4;
    const Words* high = p.words + (p.byte + 128 + p.group / 4 * 32) / 4;
    for (int i = 0; i < 8; ++i) {
      const Words nibbles = shifted_right(low[i], quarter < 2 ? 0 : 4);
      const Words top = shifted<4>(shifted_right(high[i], static_cast<int>(quarter) * 2));
      words[i] = and_or(top, set_words(0x30303030U), nibbles & set_words(0x0F0F0F0FU));
    }
  }
  template <int k>
  INLAY_INLINE Vec value() const {
    using At = WholeByte<k>;
    return scales[k / 16].template scaled<At::kFrom>(words[At::kWord], minus_32d[k / 16]);
  }
};

struct FourBit {  // a group is the unit here: how many share a scale is known when it runs
  static constexpr i64 kBlockBytes = kGroup / 2;
  static constexpr i64 kGroups = 1;
  static constexpr i64 kRun = 4;
  static constexpr int kValues = kGroup;
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

template <class... Formats>
struct FormatList {};

/// The type of each MatrixFormat, in their order. Those behind the last have none.
using StoredFormats =
    FormatList<F32, F16, Bf16, FourBit, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K>;

}  // namespace

#endif

}  // namespace inlay::kernels::INLAY_ISA
