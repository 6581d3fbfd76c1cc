// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/cpu/products/gemm_int8_kernels.h"
#include "core/kernels/cpu/products/gemm_nest.h"
#include "core/kernels/cpu/products/gemm_pack.h"
#include "core/kernels/cpu/products/matrix_decode.h"

// Products of operands of 8 bits: the same loop nest, panels of blocks of 64 steps. Both operands
// get their codes while they are packed. Slices of a contraction are multiples of 64, so a block
// has the same values whichever slice it is in.
//
// `never_int8` products (an adapter's) follow in the same panels as floats: bf16 values, whose
// products f32 holds to the last bit, so that a multiply-add rounds once with every instruction
// set.
//
//   a panel of B    | blocks of piece 0 | blocks or floats of piece 1 | ...     panel_bytes_
//   a tile's A      | blocks of piece 0 | blocks or floats of piece 1 | ...     tile_bytes_
namespace inlay::kernels {
namespace {

// The kernel that transposes takes so many columns at once; so does the one that quantises them.
constexpr i64 kColumnsAtOnce = 16;
// Steps of a column decoded and quantised at once: eight blocks of sixteen columns stay in the
// first-level cache.
constexpr i64 kStepsAtOnce = 512;
// Columns decoded at once when B's rows run across the panels: 64 rows of 128 floats.
constexpr i64 kDecodedAcross = 128;
constexpr i64 kMinInt8Tasks = 16;
constexpr i64 kMaxInt8Height = 32;
constexpr i64 kMaxInt8Width = 64;

// A 4-bit code as 8-bit codes, and what its block's scale is multiplied by.
struct EightBitCode {
  i8 table[16];
  float factor;

  explicit EightBitCode(const float* code) {
    float largest = 0.0F;
    for (i64 q = 0; q < 16; ++q) {
      largest = std::max(largest, std::abs(code[q]));
    }
    // The largest level becomes 127: a code of 4 bits needs no more than a table to be one of 8.
    const float inverse = largest == 0.0F ? 0.0F : 127.0F / largest;
    for (i64 q = 0; q < 16; ++q) {
      table[q] = static_cast<i8>(std::nearbyint(code[q] * inverse));
    }
    factor = largest / 127.0F;
  }
};

class Int8Panels {
 public:
  Int8Panels(const GemmArgs& args, const GemmInt8& kernels)
      : args_(args),
        kernels_(kernels),
        tiles_(INLAY_SELECT(kGemmTiles)),
        packing_(INLAY_SELECT(kGemmPacking)),
        streams_(can_stream(args)) {
    for_chunks(args, [&](const Chunk& chunk) {
      i64 panel = 0;
      i64 tile = 0;
      for (i64 p = 0; p < chunk.count; ++p) {
        panel += panel_bytes(chunk.pieces[p]);
        tile += tile_bytes(chunk.pieces[p]);
      }
      panel_bytes_ = std::max(panel_bytes_, panel);
      tile_bytes_ = std::max(tile_bytes_, tile);
    });
  }

  i64 height() const { return kernels_.height; }
  i64 width() const { return kernels_.width; }
  i64 panel_floats(i64 /*K*/) const { return std::max<i64>(1, panel_bytes_ / 4); }
  i64 rows_floats(i64 /*K*/) const { return ceil_div(kRunRows, height()) * tile_bytes_ / 4; }
  bool packs_rows() const { return true; }
  // Every group reads all of A, and A's codes go by so fast that this shows: with many rows, no
  // more groups than keep the threads busy.
  i64 min_groups() const { return std::clamp<i64>(kMinInt8Tasks * 256 / args_.M, 1, 8); }
  void begin() const { kernels_.begin(); }
  void end() const {
    kernels_.end();
    tiles_.finish_streams();
  }

  void pack_columns(const Chunk& chunk, const Columns& columns, float* to) const {
    auto* panels = reinterpret_cast<u8*>(to);
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      const BPart part = b_part(piece, columns.n, columns.N);
      if (piece.term->never_int8) {
        pack_bf16_columns(part, panels);
      } else if (part.transposed) {
        pack_along(part, panels);
      } else {
        pack_across(part, panels);
      }
      panels += panel_bytes(piece);
    }
  }

  void pack_rows(const Chunk& chunk, const Rows& rows) const {
    for (i64 r = 0; r < rows.count; r += height()) {
      u8* to = reinterpret_cast<u8*>(rows.packed) + r / height() * tile_bytes_;
      for (i64 p = 0; p < chunk.count; ++p) {
        const Piece& piece = chunk.pieces[p];
        const TileA a = a_from(*piece.term, rows.first + r, piece.k);
        const i64 count = std::min(height(), rows.count - r);
        if (piece.term->never_int8) {
          pack_bf16_rows(a, count, piece.K, reinterpret_cast<float*>(to));
        } else {
          pack_codes(a, count, piece.K, to);
        }
        to += tile_bytes(piece);
      }
    }
  }

  void multiply(const Chunk& chunk, const Columns& columns, const float* panels,
                const Rows& rows_of_a, i64 r) const {
    const u8* a = reinterpret_cast<const u8*>(rows_of_a.packed) + r / height() * tile_bytes_;
    const u8* b = reinterpret_cast<const u8*>(panels);
    const i64 rows = std::min(height(), rows_of_a.count - r);
    // The next tile's codes, which follow this one's: as one long row.
    RowsAhead ahead(reinterpret_cast<const float*>(a + tile_bytes_), 0, 1,
                    tile_bytes_ / static_cast<i64>(sizeof(float)), ceil_div(columns.N, width()));
    Int8Steps steps[kMaxPieces];
    const bool whole_tiles =
        kernels_.full != nullptr && args_.scale == nullptr && !keeps_parts(chunk);
    for (i64 j = 0; j < columns.N; j += width()) {
      ahead.fetch();
      find_steps(chunk, a, b, steps);
      const i64 cols = std::min(width(), columns.N - j);
      TileOutput out = chunk_output(args_, chunk, rows_of_a.first + r, columns.n + j);
      out.stream = streams_ && chunk.last;
      if (whole_tiles && rows == height() && cols == width()) {
        kernels_.full(steps, chunk.count, out);
      } else {
        part_of_tile(chunk, steps, {rows_of_a.first + r, columns.n + j, rows, cols}, out);
      }
      b += panel_bytes_;
    }
  }

 private:
  // Of a piece in a panel of B, and in the rows of a tile.
  i64 panel_bytes(const Piece& piece) const {
    return piece.term->never_int8 ? piece.K * width() * 4
                                  : ceil_div(piece.K, kInt8Block) * b_bytes();
  }
  i64 tile_bytes(const Piece& piece) const {
    return piece.term->never_int8 ? round_up(piece.K * height() * 4, 64)
                                  : ceil_div(piece.K, kInt8Block) * kernels_.a_bytes;
  }
  i64 b_bytes() const { return width() * kInt8ColumnBytes; }
  float* scales(u8* block) const { return reinterpret_cast<float*>(block) + width(); }
  float* quads(u8* block) const { return scales(block) + width(); }

  void find_steps(const Chunk& chunk, const u8* a, const u8* b, Int8Steps* steps) const {
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      steps[p] = {piece.term->never_int8 ? 0 : ceil_div(piece.K, kInt8Block), piece.K, a, b};
      a += tile_bytes(piece);
      b += panel_bytes(piece);
    }
  }

  // Rows and columns of C that a tile has, from (i, j) on.
  struct Place {
    i64 i, j, rows, cols;
  };

  // A tile at the edge of C, or any that the kernel for whole ones is not for.
  void part_of_tile(const Chunk& chunk, const Int8Steps* steps, const Place& place,
                    const TileOutput& out) const {
    alignas(64) float sums[kMaxInt8Height * kMaxInt8Width];
    std::fill_n(sums, height() * width(), 0.0F);
    for (i64 p = 0; p < chunk.count; ++p) {
      const GemmTerm& term = *chunk.pieces[p].term;
      if (term.kept == nullptr) {
        add_steps(steps[p], place.rows, sums);
      } else {
        alignas(64) float product[kMaxInt8Height * kMaxInt8Width];
        std::fill_n(product, height() * width(), 0.0F);
        add_steps(steps[p], place.rows, product);
        tiles_.add_kept(product, width(), place.rows, place.cols,
                        kept_of(args_, term, place.i, place.j), sums);
      }
    }
    tiles_.write(sums, width(), place.rows, place.cols, out);
  }

  void add_steps(const Int8Steps& s, i64 rows, float* sums) const {
    if (s.blocks == 0) {
      add_bf16(s.K, rows, static_cast<const float*>(s.a), static_cast<const float*>(s.b), sums);
    } else {
      kernels_.product(s.blocks, s.a, s.b, sums);
    }
  }

  // By the tile of f32, whose size is another.
  void add_bf16(i64 K, i64 rows, const float* a, const float* b, float* sums) const {
    const i64 step = tiles_.lanes * tiles_.vectors;
    for (i64 r = 0; r < rows; r += tiles_.rows) {
      for (i64 j = 0; j < width(); j += step) {
        tiles_.sum(K, std::min(tiles_.rows, rows - r), std::min(step, width() - j) / tiles_.lanes,
                   {a + r * K, K, 1}, b + j, width(), sums + r * width() + j, width());
      }
    }
  }

  // ---- Packing A

  void pack_codes(const TileA& a, i64 rows, i64 K, u8* to) const {
    if (a.col_stride == 1) {
      kernels_.pack_rows(a.data, a.row_stride, rows, K, to);
      return;
    }
    float turned[kMaxInt8Height * kInt8Block];
    for (i64 k = 0; k < K; k += kInt8Block) {
      const i64 steps = std::min(kInt8Block, K - k);
      turn(a, rows, k, steps, turned, kInt8Block);
      kernels_.pack_rows(turned, kInt8Block, rows, steps, to + k / kInt8Block * kernels_.a_bytes);
    }
  }

  void pack_bf16_rows(const TileA& a, i64 rows, i64 K, float* to) const {
    turn(a, rows, 0, K, to, K);
    packing_.round_to_bf16(to, rows * K);
  }

  static void turn(const TileA& a, i64 rows, i64 k, i64 steps, float* to, i64 stride) {
    for (i64 r = 0; r < rows; ++r) {
      for (i64 s = 0; s < steps; ++s) {
        to[r * stride + s] = a.data[r * a.row_stride + (k + s) * a.col_stride];
      }
    }
  }

  // ---- Packing B

  // B's columns are rows in memory: sixteen get their codes, whose quads are transposed as floats
  // are.
  void pack_along(const BPart& part, u8* panels) const {
    const MatrixRef& m = part.matrix;
    // Blocks of 64 along the contraction are blocks of the weight: their codes are looked up, not
    // decoded to floats and quantised again.
    const bool by_code = m.format == MatrixFormat::kFourBit && !m.four_bit.low_first &&
                         m.four_bit.block_size % kInt8Block == 0 && m.cols % kInt8Block == 0;
    const EightBitCode code(by_code ? m.four_bit.code : kNoCode);
    for (i64 j = 0; j < round_up(part.N, width()); j += kColumnsAtOnce) {
      u8* panel = panels + j / width() * panel_bytes_;
      const i64 count = std::clamp<i64>(part.N - j, 0, kColumnsAtOnce);
      for (i64 k = 0; k < part.K; k += kStepsAtOnce) {
        const i64 steps = std::min(kStepsAtOnce, part.K - k);
        Coded coded;
        for (i64 c = 0; c < count; ++c) {
          if (by_code) {
            translate(m, code, part.n + j + c, part.k + k, steps, coded, c);
          } else {
            float values[kStepsAtOnce];
            decode_row(m, part.n + j + c, part.k + k, steps, values);
            kernels_.quantise(values, steps, coded.codes[c], coded.scales[c]);
          }
        }
        store_columns(coded, count, ceil_div(steps, kInt8Block), j % width(),
                      panel + k / kInt8Block * b_bytes());
      }
    }
    for (i64 j = 0; j < part.N; j += width()) {
      finish(part.K, panels + j / width() * panel_bytes_);
    }
  }

  struct Coded {
    alignas(64) i8 codes[kColumnsAtOnce][kStepsAtOnce];
    float scales[kColumnsAtOnce][kStepsAtOnce / kInt8Block];
  };
  static constexpr float kNoCode[16] = {};

  // Steps of a 4-bit row, whole blocks of it.
  void translate(const MatrixRef& m, const EightBitCode& code, i64 row, i64 col, i64 steps,
                 Coded& to, i64 c) const {
    const i64 stored_row = m.row_map != nullptr ? m.row_map[row] : row;
    for (i64 k = 0; k < steps; k += kInt8Block) {
      const i64 at = stored_row * m.cols + col + k;
      kernels_.look_up(static_cast<const u8*>(m.data) + at / 2, code.table, to.codes[c] + k);
      const float scale = four_bit_scale(m.four_bit, at / m.four_bit.block_size) * code.factor;
      // A block that holds an infinity makes NaNs of all it meets (gemm.h), here by its scale.
      to.scales[c][k / kInt8Block] =
          std::isfinite(scale) ? scale : std::numeric_limits<float>::quiet_NaN();
    }
  }

  // Columns [column, column + 16) of `blocks` blocks.
  void store_columns(const Coded& coded, i64 count, i64 blocks, i64 column, u8* block) const {
    for (i64 n = 0; n < blocks; ++n) {
      const float* rows[kColumnsAtOnce];
      for (i64 c = 0; c < kColumnsAtOnce; ++c) {
        // Columns that do not exist have scale 0, so whatever their codes, they add nothing.
        scales(block)[column + c] = c < count ? coded.scales[c][n] : 0.0F;
        rows[c] = reinterpret_cast<const float*>(coded.codes[c] + n * kInt8Block);
      }
      if (count > 0) {
        packing_.transpose(rows, count, kInt8Block / 4, quads(block) + column, kColumnsAtOnce,
                           width());
      } else {
        for (i64 q = 0; q < kInt8Block / 4; ++q) {
          std::fill_n(quads(block) + q * width() + column, kColumnsAtOnce, 0.0F);
        }
      }
      block += b_bytes();
    }
  }

  void finish(i64 K, u8* panel) const {
    for (i64 n = 0; n < ceil_div(K, kInt8Block); ++n) {
      kernels_.finish_block(panel + n * b_bytes());
    }
  }

  // B's rows run across the panels: 64 of them at a time.
  void pack_across(const BPart& part, u8* panels) const {
    const i64 run = kDecodedAcross / width() * width();
    alignas(64) float decoded[kInt8Block * kDecodedAcross];
    for (i64 k = 0; k < part.K; k += kInt8Block) {
      const i64 steps = std::min(kInt8Block, part.K - k);
      for (i64 j = 0; j < part.N; j += run) {
        const i64 count = std::min(run, part.N - j);
        const float* rows =
            rows_in_place<float>({part.matrix, false, part.k + k, steps, part.n + j, count});
        const i64 stride = rows != nullptr ? part.matrix.row_bytes / 4 : run;
        if (rows == nullptr) {
          for (i64 s = 0; s < steps; ++s) {
            decode_row(part.matrix, part.k + k + s, part.n + j, count, decoded + s * run);
          }
          rows = decoded;
        }
        for (i64 c = 0; c < count; c += width()) {
          u8* block = panels + (j + c) / width() * panel_bytes_ + k / kInt8Block * b_bytes();
          kernels_.pack_columns(rows + c, stride, steps, std::min(width(), count - c), block);
          kernels_.finish_block(block);
        }
      }
    }
  }

  void pack_bf16_columns(const BPart& part, u8* panels) const {
    for (i64 j = 0; j < part.N; j += width()) {
      auto* panel = reinterpret_cast<float*>(panels + j / width() * panel_bytes_);
      const i64 count = std::min(width(), part.N - j);
      if (part.transposed) {
        transpose_bf16(part, j, count, panel);
      } else {
        for (i64 k = 0; k < part.K; ++k) {
          decode_row(part.matrix, part.k + k, part.n + j, count, panel + k * width());
          std::fill(panel + k * width() + count, panel + (k + 1) * width(), 0.0F);
        }
      }
      packing_.round_to_bf16(panel, part.K * width());
    }
  }

  void transpose_bf16(const BPart& part, i64 j, i64 columns, float* panel) const {
    for (i64 c = 0; c < width(); c += kColumnsAtOnce) {
      const i64 count = std::clamp<i64>(columns - c, 0, kColumnsAtOnce);
      for (i64 k = 0; k < part.K; k += kInt8Block) {
        const i64 steps = std::min(kInt8Block, part.K - k);
        float values[kColumnsAtOnce][kInt8Block] = {};
        const float* rows[kColumnsAtOnce];
        for (i64 i = 0; i < kColumnsAtOnce; ++i) {
          rows[i] = values[i];
          if (i < count) {
            decode_row(part.matrix, part.n + j + c + i, part.k + k, steps, values[i]);
          }
        }
        packing_.transpose(rows, kColumnsAtOnce, steps, panel + k * width() + c, kColumnsAtOnce,
                           width());
      }
    }
  }

  const GemmArgs& args_;
  const GemmInt8& kernels_;
  const GemmTiles& tiles_;
  const GemmPacking& packing_;
  const bool streams_;
  i64 panel_bytes_ = 0, tile_bytes_ = 0;  // of the longest chunk
};

const GemmInt8& int8_kernels() {
  const GemmInt8* dots = INLAY_SELECT_DOTS(kGemmInt8);
  return dots != nullptr ? *dots : INLAY_SELECT(kGemmInt8);
}

}  // namespace

i64 int8_scratch(const GemmArgs& args) {
  const Int8Panels panels(args, int8_kernels());
  return PanelNest(args, panels).scratch();
}

void int8_product(const GemmArgs& args, std::span<float> scratch) {
  const Int8Panels panels(args, int8_kernels());
  PanelNest(args, panels).run(scratch);
}

}  // namespace inlay::kernels
