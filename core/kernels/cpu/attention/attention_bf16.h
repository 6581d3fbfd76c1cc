// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tiled attention whose products are the processor's own dot products of bf16: the pieces forward
// and backward share. The layout is the one attention_tile.h draws, scores transposed; what differs
// is what is multiplied.
//
// A product C[i][j] += sum over k A[i][k] B[k][j] takes bf16 operands and adds in f32, two k at a
// time: A is stored by rows (pairs of k side by side), B as pairs,
//
//   B2[k / 2][j] = (B[k][j], B[k + 1][j])
//
//                                            A                 B in pairs of
//   forward    S[key][row]  =  K Qt          K copy            d      (Q, packed a tile)
//              Ot[d][row]  +=  Vt P          Vt copy           keys   (P)
//   backward   S            =  K Qt          K copy            d
//              dP[key][row] =  V dOt         V copy            d      (dO, packed a tile)
//              dQt[d][row] +=  Kt dS         Kt copy           keys   (dS)
//              dV[key][d]  +=  P dO          P                 rows   (dO, packed a tile)
//              dK[key][d]  +=  dS Q          dS                rows   (Q, packed a tile)
//
// K and V are converted once a call, into copies every tile of their head reads; beyond the last
// key and column these are 0. All sizes are whole register tiles: 16 rows, 16 columns, 32 deep.

#include "core/kernels/cpu/attention/attention_tile.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::copied_keys;
using attention::kPad;
using attention::round_up;

constexpr i64 kDepth = 32;  // k of one step, and the keys of a strip

/// (low, high) as 32 bf16, in order.
inline __m512i narrow(Vec low, Vec high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
}

/// (low[i], high[i]) of the two halves of 32 words.
inline __m512i interleave_halves(__m512i words) {
  alignas(64) static constexpr u16 kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                 21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), words);
}

/// The pairs (even[i], odd[i]).
inline __m512i narrow_pairs(Vec even, Vec odd) {
  return interleave_halves(narrow(even, odd));
}

/// The two halves, each where it belongs.
inline void store_rows(__m512i words, u16* low, u16* high) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(low), _mm512_castsi512_si256(words));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), _mm512_extracti64x4_epi64(words, 1));
}

inline Vec as_vec(__m512i words) {
  return {_mm512_castsi512_ps(words)};
}

/// 16 numbers of a row, of which `columns` (<= 0: none) exist.
inline Vec load_some(const float* p, i64 columns) {
  return columns >= kLanes ? Vec::load(p) : columns > 0 ? Vec::load(p, columns) : Vec::zero();
}

/// Rows of bf16 numbers or of pairs; the stride counts bf16 numbers.
struct Bf16Rows {
  u16* data;
  i64 stride;

  u16* at(i64 row, i64 word) const { return data + row * stride + word; }
  Bf16Rows from(i64 row, i64 word) const { return {at(row, word), stride}; }
};

/// Cuts a thread's scratch memory into parts, one after the other.
class ScratchParts {
 public:
  explicit ScratchParts(float* scratch) : next_(scratch) {}

  float* floats(i64 count) {
    float* part = next_;
    next_ += count;
    return part;
  }
  Bf16Rows words(i64 rows, i64 stride) {
    return {reinterpret_cast<u16*>(floats(rows * stride / 2)), stride};
  }

 private:
  float* next_;
};

/// to[key][d] = rows [begin, end) of one head of K or V, `count` of which exist.
inline void copy_rows(const float* from, i64 stride, KeyRange keys, i64 count, i64 D, Bf16Rows to) {
  for (i64 key = keys.begin; key < keys.end; ++key) {
    const i64 columns = key < count ? D : 0;
    for (i64 d = 0; d < round_up(D, kDepth); d += kDepth) {
      const float* row = from + key * stride + d;
      _mm512_storeu_si512(to.at(key, d), narrow(load_some(row, columns - d),
                                                load_some(row + kLanes, columns - d - kLanes)));
    }
  }
}

/// to[d][key] likewise; the range begins and ends at multiples of 32.
inline void copy_transposed(const float* from, i64 stride, KeyRange keys, i64 count, i64 D,
                            Bf16Rows to) {
  for (i64 k = keys.begin; k < keys.end; k += kDepth) {
    for (i64 d0 = 0; d0 < D; d0 += kLanes) {
      Vec in[kLanes], out[kLanes];
      for (i64 i = 0; i < kLanes; ++i) {
        const i64 key = k + 2 * i;
        const float* row = from + key * stride + d0;
        // A pair of keys is one 32-bit word, so pairs are transposed as floats are.
        in[i] = as_vec(narrow_pairs(load_some(row, key < count ? D - d0 : 0),
                                    load_some(row + stride, key + 1 < count ? D - d0 : 0)));
      }
      transpose(in, out);
      for (i64 d = 0; d < kLanes; ++d) {
        _mm512_storeu_si512(to.at(d0 + d, k), _mm512_castps_si512(out[d].v));
      }
    }
  }
}

/// The copies of one head, in the order they are stored: K, then V (backward), then Vt or Kt.
struct KeyCopies {
  Bf16Rows k, v, transposed;
};

inline KeyCopies key_copies(const Head& head, u16* data, bool backward) {
  const i64 keys = copied_keys(head.k_count);
  const i64 width = round_up(head.params->head_dim, kDepth);
  u16* behind_k = data + keys * width;
  return {{data, width}, {behind_k, width}, {backward ? behind_k + keys * width : behind_k, keys}};
}

[[maybe_unused]] void copy_forward_keys(const Head& head, KeyRange keys,
                                        const AttentionForward& args, u16* copies) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  const KeyCopies to = key_copies(head, copies, false);
  copy_rows(args.k + head.k_begin * params.k_stride + head.kv_head * D, params.k_stride, keys,
            head.k_count, D, to.k);
  copy_transposed(args.v + head.k_begin * params.v_stride + head.kv_head * D, params.v_stride, keys,
                  head.k_count, D, to.transposed);
}

[[maybe_unused]] void copy_backward_keys(const Head& head, KeyRange keys,
                                         const AttentionBackward& args, u16* copies) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  const KeyCopies to = key_copies(head, copies, true);
  const float* K = args.k + head.k_begin * params.k_stride + head.kv_head * D;
  const float* V = args.v + head.k_begin * params.v_stride + head.kv_head * D;
  copy_rows(K, params.k_stride, keys, head.k_count, D, to.k);
  copy_rows(V, params.v_stride, keys, head.k_count, D, to.v);
  copy_transposed(K, params.k_stride, keys, head.k_count, D, to.transposed);
}

/// Calls body(load), where load(p, columns) is load_some(), but needs not ask where `whole` says
/// that there are always 16 columns.
template <class Body>
inline void with_load(bool whole, Body body) {
  if (whole) {
    body([](const float* p, i64 /*columns*/) { return Vec::load(p); });
  } else {
    body([](const float* p, i64 columns) { return load_some(p, columns); });
  }
}

/// pairs[d / 2][row] = (base[row][d], base[row][d + 1]) * sign, zeros behind the last row and
/// column.
inline void pack_pairs_of_columns(const float* base, const TileRows& rows, i64 D, float sign,
                                  Bf16Rows pairs) {
  const Vec factor = Vec::set(sign);
  for (i64 r0 = 0; r0 < kTileRows; r0 += kLanes) {
    with_load(r0 + kLanes <= rows.count && D % kDepth == 0, [&](auto load) {
      for (i64 d0 = 0; d0 < D; d0 += kDepth) {
        Vec in[kLanes], out[kLanes];
        for (i64 i = 0; i < kLanes; ++i) {
          const bool exists = r0 + i < rows.count;
          // A row that does not exist is read from one that does, none of its columns.
          const float* row = exists ? base + rows.offset[r0 + i] + d0 : base;
          const i64 columns = exists ? D - d0 : 0;
          in[i] = as_vec(
              narrow(factor * load(row, columns), factor * load(row + kLanes, columns - kLanes)));
        }
        transpose(in, out);
        for (i64 i = 0; i < kLanes; ++i) {
          _mm512_storeu_si512(pairs.at(d0 / 2 + i, 2 * r0), _mm512_castps_si512(out[i].v));
        }
      }
    });
  }
}

/// pairs[row / 2][d] = (base[row][d], base[row + 1][d]), likewise.
inline void pack_pairs_of_rows(const float* base, const TileRows& rows, i64 D, Bf16Rows pairs) {
  for (i64 r = 0; r < kTileRows; r += 2) {
    const float* even = r < rows.count ? base + rows.offset[r] : base;
    const float* odd = r + 1 < rows.count ? base + rows.offset[r + 1] : base;
    with_load(r + 1 < rows.count && D % kLanes == 0, [&](auto load) {
      for (i64 d = 0; d < D; d += kLanes) {
        _mm512_storeu_si512(pairs.at(r / 2, 2 * d),
                            narrow_pairs(load(even + d, r < rows.count ? D - d : 0),
                                         load(odd + d, r + 1 < rows.count ? D - d : 0)));
      }
    });
  }
}

/// What a product of Q and K is multiplied by to be a score in base 2, or the argument of tanh. Its
/// sign goes into Q, so that a maximum stays one.
inline float positive_scale(const AttentionParams& params) {
  return __builtin_fabsf(score_scale(params));
}
inline float scale_sign(const AttentionParams& params) {
  return params.scale < 0.0F ? -1.0F : 1.0F;
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
