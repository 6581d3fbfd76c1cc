// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm_stored_rows.h"

#include "core/kernels/simd.h"

// The product of a few rows of A with a B stored [N, K], in which lane n of a vector is row n of B:
//
//   16 bytes of each row   transposed as 32-bit words: word j holds some values of every row
//   value k of every row   a few operations on its word
//   sums[i] = fma(a(i, k), value k, sums[i])
//
// So each sum is the same chain of fma, k upwards, that the panels of gemm_tile.isa.cc give, with
// nothing written to memory between the weights and the sums. What makes it cheap is that a whole
// number of at most 23 bits becomes a float by or-ing it into the fraction of a power of two:
//
//   bits [s, s + b) of a word | 2^(23 - s)  =  the float 2^(23 - s) + q
//
// wherever in the low 23 bits the field lies, so two fields of a byte need no shift, and those of
// the word's upper half one shift for all. From it, q d rounded once, as the formats define it:
//
//   fma(2^(23 - s) + q, d, -2^(23 - s) d)       d times a power of two is exact
//   ((2^(23 - s) + q) - (2^(23 - s) + c)) d     for (q - c) d: the difference is exact
namespace inlay::kernels::INLAY_ISA {

#if defined(__AVX512F__) || defined(__AVX2__)

namespace {

#define INLAY_INLINE [[gnu::always_inline]] inline

constexpr i64 kGroup = 32;  // values decoded together; every block is a whole number of groups
constexpr i64 kLanes = Vec::kLanes;
constexpr i64 kRows = 2 * kLanes;  // two chains: one would wait for its own fma
constexpr i64 kMaxGroups = kMaxStoredSteps / kGroup;

// ---- 32-bit words of one lane each
// ----------------------------------------------------------------

#if defined(__AVX512F__)

struct Words {
  __m512i v;
};

INLAY_INLINE Words set_words(u32 x) {
  return {_mm512_set1_epi32(static_cast<i32>(x))};
}
INLAY_INLINE Words operator&(Words a, Words b) {
  return {_mm512_and_si512(a.v, b.v)};
}
INLAY_INLINE Words operator^(Words a, Words b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
/// (a & b) | c
INLAY_INLINE Words and_or(Words a, Words b, Words c) {
  return {_mm512_ternarylogic_epi32(a.v, b.v, c.v, 0xEA)};
}
/// a << kBits, or a >> -kBits
template <int kBits>
INLAY_INLINE Words shifted(Words a) {
  if constexpr (kBits > 0) {
    return {_mm512_slli_epi32(a.v, kBits)};
  } else if constexpr (kBits < 0) {
    return {_mm512_srli_epi32(a.v, -kBits)};
  } else {
    return a;
  }
}
INLAY_INLINE Words shifted_right(Words a, int bits) {
  return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(bits))};
}
/// The signed byte at bits [kFrom, kFrom + 8), as a float.
template <int kFrom>
INLAY_INLINE Vec signed_byte(Words a) {
  return {_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(a.v, 24 - kFrom), 24))};
}
INLAY_INLINE Vec as_floats(Words a) {
  return {_mm512_castsi512_ps(a.v)};
}
/// The halves in the low 16 bits.
INLAY_INLINE Vec low_halves(Words a) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a.v))};
}

INLAY_INLINE Vec high_halves(Words a) {
  return low_halves(shifted<-16>(a));
}

/// A table of 16 floats, indexed by the low four bits of each word.
struct Code {
  __m512 entries;
  INLAY_INLINE explicit Code(const float* code) : entries(_mm512_loadu_ps(code)) {}
  INLAY_INLINE Vec operator[](Words index) const {
    return {_mm512_permutexvar_ps(index.v, entries)};
  }
};

INLAY_INLINE __m512i load_four_rows(const u8* const* rows, i64 r, i64 offset) {
  const auto row = [&](i64 i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r + 4 * i] + offset));
  };
  __m512i out = _mm512_castsi128_si512(row(0));
  out = _mm512_inserti32x4(out, row(1), 1);
  out = _mm512_inserti32x4(out, row(2), 2);
  return _mm512_inserti32x4(out, row(3), 3);
}

/// The four bytes at `offset` of each row.
INLAY_INLINE Words gathered_words(const u8* const* rows, i64 offset) {
  const auto eight = [&](i64 r) {
    return _mm512_i64gather_epi32(_mm512_loadu_si512(rows + r),
                                  reinterpret_cast<const void*>(offset), 1);
  };
  return {_mm512_inserti64x4(_mm512_castsi256_si512(eight(0)), eight(8), 1)};
}

/// word[j]: word j of the 16 bytes at `offset` of each row.
INLAY_INLINE void transposed_words(const u8* const* rows, i64 offset, Words* word) {
  const __m512i r0 = load_four_rows(rows, 0, offset), r1 = load_four_rows(rows, 1, offset);
  const __m512i r2 = load_four_rows(rows, 2, offset), r3 = load_four_rows(rows, 3, offset);
  const __m512i low01 = _mm512_unpacklo_epi32(r0, r1), high01 = _mm512_unpackhi_epi32(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi32(r2, r3), high23 = _mm512_unpackhi_epi32(r2, r3);
  word[0] = {_mm512_unpacklo_epi64(low01, low23)};
  word[1] = {_mm512_unpackhi_epi64(low01, low23)};
  word[2] = {_mm512_unpacklo_epi64(high01, high23)};
  word[3] = {_mm512_unpackhi_epi64(high01, high23)};
}

#else

struct Words {
  __m256i v;
};

INLAY_INLINE Words set_words(u32 x) {
  return {_mm256_set1_epi32(static_cast<i32>(x))};
}
INLAY_INLINE Words operator&(Words a, Words b) {
  return {_mm256_and_si256(a.v, b.v)};
}
INLAY_INLINE Words operator^(Words a, Words b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
INLAY_INLINE Words and_or(Words a, Words b, Words c) {
  return {_mm256_or_si256(_mm256_and_si256(a.v, b.v), c.v)};
}
template <int kBits>
INLAY_INLINE Words shifted(Words a) {
  if constexpr (kBits > 0) {
    return {_mm256_slli_epi32(a.v, kBits)};
  } else if constexpr (kBits < 0) {
    return {_mm256_srli_epi32(a.v, -kBits)};
  } else {
    return a;
  }
}
INLAY_INLINE Words shifted_right(Words a, int bits) {
  return {_mm256_srl_epi32(a.v, _mm_cvtsi32_si128(bits))};
}
template <int kFrom>
INLAY_INLINE Vec signed_byte(Words a) {
  return {_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(a.v, 24 - kFrom), 24))};
}
INLAY_INLINE Vec as_floats(Words a) {
  return {_mm256_castsi256_ps(a.v)};
}
INLAY_INLINE Vec low_halves(Words a) {
  const __m256i low = _mm256_and_si256(a.v, _mm256_set1_epi32(0xFFFF));
  return {_mm256_cvtph_ps(
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)))};
}
INLAY_INLINE Vec high_halves(Words a) {
  return low_halves(shifted<-16>(a));
}

struct Code {
  __m256 low, high;
  INLAY_INLINE explicit Code(const float* code)
      : low(_mm256_loadu_ps(code)), high(_mm256_loadu_ps(code + 8)) {}
  INLAY_INLINE Vec operator[](Words index) const {
    // vpermps reads three bits of the index; the fourth, moved to the sign, chooses the half.
    const __m256 top = _mm256_castsi256_ps(_mm256_slli_epi32(index.v, 28));
    return {_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index.v),
                             _mm256_permutevar8x32_ps(high, index.v), top)};
  }
};

INLAY_INLINE __m256i load_two_rows(const u8* const* rows, i64 r, i64 offset) {
  const auto row = [&](i64 i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r + 4 * i] + offset));
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(row(0)), row(1), 1);
}

INLAY_INLINE Words gathered_words(const u8* const* rows, i64 offset) {
  const auto four = [&](i64 r) {
    return _mm256_i64gather_epi32(reinterpret_cast<const i32*>(offset),
                                  _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows + r)),
                                  1);
  };
  return {_mm256_inserti128_si256(_mm256_castsi128_si256(four(0)), four(4), 1)};
}

INLAY_INLINE void transposed_words(const u8* const* rows, i64 offset, Words* word) {
  const __m256i r0 = load_two_rows(rows, 0, offset), r1 = load_two_rows(rows, 1, offset);
  const __m256i r2 = load_two_rows(rows, 2, offset), r3 = load_two_rows(rows, 3, offset);
  const __m256i low01 = _mm256_unpacklo_epi32(r0, r1), high01 = _mm256_unpackhi_epi32(r0, r1);
  const __m256i low23 = _mm256_unpacklo_epi32(r2, r3), high23 = _mm256_unpackhi_epi32(r2, r3);
  word[0] = {_mm256_unpacklo_epi64(low01, low23)};
  word[1] = {_mm256_unpackhi_epi64(low01, low23)};
  word[2] = {_mm256_unpacklo_epi64(high01, high23)};
  word[3] = {_mm256_unpackhi_epi64(high01, high23)};
}

#endif

// ---- fields of words as floats
// ---------------------------------------------------------------------

/// 2^(23 - kFrom), whose last bit is worth what bit kFrom of a word is.
template <int kFrom>
constexpr float kPower = static_cast<float>(1 << (23 - kFrom));
template <int kFrom>
constexpr u32 kPowerBits = __builtin_bit_cast(u32, kPower<kFrom>);

/// 2^(23 - kFrom) + the number at bits [kFrom, kFrom + kBits).
template <int kFrom, int kBits>
INLAY_INLINE Words field(Words w) {
  static_assert(kFrom + kBits <= 23);
  return and_or(w, set_words(((1U << kBits) - 1U) << kFrom), set_words(kPowerBits<kFrom>));
}

/// q d
template <int kFrom>
INLAY_INLINE Vec times(Words field, Vec d) {
  return fma(as_floats(field), d, d * Vec::set(-kPower<kFrom>));
}

/// (q - kCentre) d
template <int kFrom, int kCentre>
INLAY_INLINE Vec centred_times(Words field, Vec d) {
  return (as_floats(field) - Vec::set(kPower<kFrom> + static_cast<float>(kCentre))) * d;
}

/// Where value k of a group lies when byte i holds values i (low nibble) and i + 16 (high nibble):
/// in `word`, shifted down by 16 for the upper bytes so that the field fits a fraction.
template <int k>
struct SplitNibble {
  static constexpr int kWord = k % 16 / 4, kByte = k % 4;
  static constexpr int kFrom = kByte % 2 * 8 + k / 16 * 4;
  static constexpr int kShift = kByte < 2 ? 0 : -16;
  INLAY_INLINE static Words of(const Words* words) { return shifted<kShift>(words[kWord]); }
};

/// The same when byte i holds value i.
template <int k>
struct WholeByte {
  static constexpr int kWord = k / 4, kByte = k % 4;
  static constexpr int kFrom = kByte % 2 * 8;
  static constexpr int kShift = kByte < 2 ? 0 : -16;
  INLAY_INLINE static Words of(const Words* words) { return shifted<kShift>(words[kWord]); }
};

/// ORs bit k of `bits` into a field of four bits that starts at kFrom, as its fifth.
template <int kFrom, int k>
INLAY_INLINE Words with_fifth_bit(Words field, Words bits) {
  return and_or(shifted<kFrom + 4 - k>(bits), set_words(1U << (kFrom + 4)), field);
}

// ---- formats
// ---------------------------------------------------------------------------------------

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

// ---- sums
// ------------------------------------------------------------------------------------------

/// The scales of a strip of 4-bit codes, block by block, by row.
struct Scales {
  float of[kMaxGroups][kRows];
};

void read_scales(const StoredRows& s, Scales& out) {
  const FourBitScales& scales = *s.four_bit;
  const i64 first = s.k / scales.block_size;
  const i64 last = (s.k + s.K - 1) / scales.block_size;
  for (i64 b = first; b <= last; ++b) {
    for (i64 n = 0; n < kRows; ++n) {
      const i64 block = s.first_block[n] + b;
      out.of[b - first][n] = scales.absmax != nullptr
                                 ? scales.absmax[block]
                                 : scales.nested_code[scales.absmax_codes[block]] *
                                           scales.nested_absmax[block / scales.nested_block_size] +
                                       scales.offset;
    }
  }
}

template <class Format>
INLAY_INLINE Format make(const Place& place, const StoredRows& s) {
  if constexpr (Format::kStoring == Storing::kFourBit) {
    return Format(place, s.four_bit->code);
  } else {
    static_cast<void>(s);
    return Format(place);
  }
}

/// The sums of M rows of A.
template <int M>
struct Sums {
  Vec low[M], high[M];
  const float* a[M];  // of the step that is next

  INLAY_INLINE explicit Sums(const StoredRows& s) {
    for (int i = 0; i < M; ++i) {  // rows that are not asked for repeat the last
      const i64 row = i < s.M ? i : s.M - 1;
      a[i] = s.a + row * s.a_row_stride + s.k;
      low[i] = Vec::load(s.sums + row * s.sum_stride);
      high[i] = Vec::load(s.sums + row * s.sum_stride + kLanes);
    }
  }

  INLAY_INLINE void store(const StoredRows& s) const {
    for (int i = 0; i < M && i < s.M; ++i) {
      low[i].store(s.sums + i * s.sum_stride);
      high[i].store(s.sums + i * s.sum_stride + kLanes);
    }
  }
};

/// Steps k to `count` of the group; all of it where kWhole.
template <int k, bool kWhole, int M, class Format>
INLAY_INLINE void add_steps(const Format& low, const Format& high, Sums<M>& sums, i64 count) {
  if constexpr (k < Format::kValues) {
    if (!kWhole && k >= count) {
      return;
    }
    const Vec x = low.template value<k>(), y = high.template value<k>();
    for (int i = 0; i < M; ++i) {
      const Vec a = Vec::set(sums.a[i][k]);
      sums.low[i] = fma(a, x, sums.low[i]);
      sums.high[i] = fma(a, y, sums.high[i]);
    }
    add_steps<k + 1, kWhole>(low, high, sums, count);
  }
}

/// Asks for memory evenly over the groups of a strip.
struct Ahead {
  const u8* next;
  i64 step;

  INLAY_INLINE Ahead(const StoredRows& s, i64 groups)
      : next(s.next), step(groups > 0 ? (s.next_bytes + groups - 1) / groups : 0) {}

  INLAY_INLINE void fetch() {
    for (const u8* line = next; line < next + step; line += 64) {
      __builtin_prefetch(line);
    }
    next += step;
  }
};

/// The last values of dense rows: nothing may be read behind a row.
template <class Format, int M>
void add_ends(const StoredRows& s, i64 count, Sums<M>& sums) {
  u8 ends[kRows][16] = {};
  const u8* rows[kRows];
  for (i64 n = 0; n < kRows; ++n) {
    __builtin_memcpy(ends[n], s.rows[n] + (s.k + s.K - count) * Format::kValueBytes,
                     static_cast<u64>(count * Format::kValueBytes));
    rows[n] = ends[n];
  }
  const Format low(Place{rows, 0, nullptr}), high(Place{rows + kLanes, 0, nullptr});
  add_steps<0, false>(low, high, sums, count);
}

template <class Format, int M>
void sum_of(const StoredRows& s) {
  constexpr bool kScaled = Format::kStoring == Storing::kFourBit;
  Scales scales;
  if constexpr (kScaled) {
    read_scales(s, scales);
  }
  Sums<M> sums(s);
  const i64 groups = s.K / Format::kValues, first = s.k / Format::kValues;
  Ahead ahead(s, groups);
  for (i64 g = 0; g < groups; ++g) {
    const float* scale = nullptr;
    if constexpr (kScaled) {
      const i64 size = s.four_bit->block_size;
      scale = scales.of[(s.k + g * kGroup) / size - s.k / size];
    }
    const Format low = make<Format>(Place{s.rows, first + g, scale}, s);
    const Format high =
        make<Format>(Place{s.rows + kLanes, first + g, kScaled ? scale + kLanes : nullptr}, s);
    ahead.fetch();
    add_steps<0, true>(low, high, sums, Format::kValues);
    for (int i = 0; i < M; ++i) {
      sums.a[i] += Format::kValues;
    }
  }
  if constexpr (Format::kStoring == Storing::kDense) {
    if (s.K % Format::kValues != 0) {
      add_ends<Format>(s, s.K % Format::kValues, sums);
    }
  }
  sums.store(s);
}

template <class Format>
void sum(const StoredRows& s) {
  s.M == 1 ? sum_of<Format, 1>(s) : sum_of<Format, kMaxStoredM>(s);
}

}  // namespace

const GemmStoredRows kGemmStoredRows = {
    kRows,
    {sum<F32>, sum<Bf16>, sum<F16>, sum<FourBit>, sum<Q8_0>, sum<Q4_0>, sum<Q4_1>, sum<Q5_0>,
     sum<Q5_1>, sum<Q4_K>, sum<Q5_K>, sum<Q6_K>}};

#else

const GemmStoredRows kGemmStoredRows = {0, {}};

#endif

}  // namespace inlay::kernels::INLAY_ISA
