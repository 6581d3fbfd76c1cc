// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "core/kernels/cpu/products/gemm_bf16_pack.h"
#include "core/kernels/cpu/products/gemm_schemes.h"
#include "core/parallel.h"

// Products of operands rounded to bf16, with f32 sums. Such products are so fast that what comes
// before and after them shows: each operand is packed once, by all threads together, and products
// of the same A (q, k and v; gate and up; an adapter's inner product) are one walk over it.
//
//   for each chunk of the contraction
//     for each group of panels of B, of whichever product
//       pack the group, but for what is prepacked; with the first, A
//       with the first, where there are inner products: they, and the rows of A they make
//       for each block of A's rows x block of the group's panels      tasks
//         for each tile's rows of A                       after the first panel from L1
//           for each panel                                its part of B comes from L2
//             one tile of C                               (with AMX the panels are the outer loop)
//
// Few rows are one block: there, the task that packs some panels multiplies them, too. An A of bf16
// is read in place, but for the rows at its end that fill no tile.
//
// Scratch: A's rows, of the pieces all products share and of the short pieces of each; the group;
// the sums so far of a C of bf16 that has several chunks.
namespace inlay::kernels {
namespace {

// Longer slices than f32 has: reading and writing C again costs more than a tile's rows that leave
// the first-level cache.
constexpr i64 kLongestSlice = 1536;
// A group, in dwords: 4 MB.
constexpr i64 kGroupDwords = i64{1} << 20;
// Panels a task multiplies, in dwords: 512 KB, half of a small L2.
constexpr i64 kBlockDwords = i64{1} << 17;
// Rows of A packed by one task, and rows a task multiplies.
constexpr i64 kPackedRows = 64;
constexpr i64 kBlockRows = 128;
constexpr i64 kRowRun = 4;  // blocks
// So few rows are one block; then the tasks of a group, and their panels.
constexpr i64 kOneBlockRows = 256;
constexpr i64 kMinOwnTasks = 16;
constexpr i64 kMaxOwnPanels = 4;
// Of B stored [N, K], panels packed by one task; of B stored [K, N], panels and steps: long runs of
// its rows are read, and of each panel whole cache lines written.
constexpr i64 kPackedPanels = 2;
constexpr i64 kPackedWide = 16;
constexpr i64 kPackedSteps = 64;
// With fewer tasks, some threads would wait for others at the end.
constexpr i64 kMinTasks = 32;
constexpr i64 kTileRows = 32;
constexpr i64 kTileValues = kTileRows * 48;
// Steps of a tile's rows copied without what is dropped: they stay in the first-level cache.
constexpr i64 kKeptSteps = 512;
// Everything starts on a cache line.
constexpr i64 kLineFloats = 16;

bool same_a(const GemmTerm& one, const GemmTerm& other) {
  return one.a == other.a && one.a_bf16 == other.a_bf16 && one.K == other.K &&
         one.a_row_stride == other.a_row_stride && one.a_col_stride == other.a_col_stride;
}

// Whether the product's C is, or is a part of, the term's A.
bool makes(const GemmArgs& args, const GemmTerm& term) {
  return term.a != nullptr && args.c >= term.a && args.c < term.a + args.M * term.a_row_stride;
}

bool is_short(const GemmTerm& term) {
  return term.K <= kShortProduct;
}

// Whether piece p of a chunk is a short product that joined the one before it.
bool is_joined(const Chunk& chunk, i64 p) {
  return p > 0 && is_short(*chunk.pieces[p].term);
}

// Columns of all panels of N columns.
i64 padded_columns(i64 N, const GemmBf16& kernels) {
  const i64 whole = N / kernels.width * kernels.width;
  return whole + (whole < N ? kernels.panel_width(N - whole) : 0);
}

// Where the slice that begins with step k is in a prepacked B, in dwords: slice by slice, the
// panels of all columns one after the other. Slices but the last are whole numbers of every
// kernel's steps.
i64 slice_place(i64 N, i64 k, const GemmBf16& kernels) {
  return k / 2 * padded_columns(N, kernels);
}

class Bf16Nest {
 public:
  Bf16Nest(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
           const GemmBf16& kernels)
      : inner_(inner),
        outer_(outer),
        kernels_(kernels),
        packing_(kernels),
        tiles_(INLAY_SELECT(kGemmTiles)),
        M_(outer[0].M),
        chunks_(count_chunks(outer[0], kLongestSlice)) {}

  i64 scratch() {
    i64 most = 0;
    for (i64 c = 0; c < chunks_; ++c) {
      enter(c);
      most = std::max(most, round_up(a_values_ / 2, kLineFloats) + group_panels_ * panel_);
    }
    return most + kLineFloats + sums_floats();
  }

  void run(std::span<float> scratch) {
    INLAY_ASSERT(static_cast<i64>(scratch.size()) >= this->scratch());
    // The scratch comes aligned to floats; the panels want cache lines.
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data()) / sizeof(float);
    sums_ = scratch.data() + (kLineFloats - static_cast<i64>(address % kLineFloats)) % kLineFloats;
    float* start = sums_ + sums_floats();
    for (i64 c = 0; c < chunks_; ++c) {
      enter(c);
      a_ = reinterpret_cast<u16*>(start);
      b_ = reinterpret_cast<u32*>(start + round_up(a_values_ / 2, kLineFloats));
      for (i64 panel = 0; panel < panels(); panel += group_panels_) {
        multiply_group({panel, std::min(panels(), panel + group_panels_)});
      }
    }
  }

 private:
  // A piece of A: its rows from `first` on are packed, and start at `at` in `a_`; those before are
  // read in place.
  struct Rows {
    i64 at = 0, first = 0;
    i64 K = 0, stride = 0;  // of packed rows
  };
  // A product in a chunk: the pieces, and which of the panels of all products are its own.
  struct Part {
    const GemmArgs* args = nullptr;
    Chunk chunk;
    Rows a[kMaxPieces];
    const u32* prepacked[kMaxPieces] = {};  // the panels of a piece's B, where it has them
    i64 first_panel = 0, end_panel = 0;
    bool in_parts = false;  // some products are kept in parts
    bool streams = false;   // to C, which is complete after this chunk
    i64 sums = -1;          // where in `sums_` [M, N] of the chunks so far are, if not in C

    bool across() const {
      return chunk.count > 0 && !chunk.pieces[0].term->b_transposed && prepacked[0] == nullptr;
    }
  };
  struct Range {
    i64 begin, end;
    i64 size() const { return end - begin; }
  };

  // Of the sums that an outer product keeps from chunk to chunk.
  i64 sums_floats(const GemmArgs& args) const {
    return args.c_bf16 != nullptr && chunks_ > 1 ? round_up(M_ * args.N, kLineFloats) : 0;
  }
  i64 sums_floats() const {
    i64 floats = 0;
    for (const GemmArgs& args : outer_) {
      floats += sums_floats(args);
    }
    return floats;
  }

  i64 panels() const { return parts_[count_ - 1].end_panel; }
  i64 inner_panels() const { return inner_count_ == 0 ? 0 : parts_[inner_count_ - 1].end_panel; }

  // Chunk c of every outer product, and of the inner products of the A it has.
  void enter(i64 c) {
    count_ = 0;
    a_values_ = 0;
    panel_ = 1;
    reach_ = 1;
    // All outer products share A (share_rows), so the long pieces of the first are those of all.
    const Chunk main = chunk_at(outer_[0], c, kLongestSlice);
    Rows main_a[kMaxPieces];
    for (i64 p = 0; p < main.count; ++p) {
      if (!is_joined(main, p)) {
        main_a[p] = place(main.pieces[p]);
        add_inner(main.pieces[p], main_a[p]);
      }
    }
    inner_count_ = count_;
    i64 sums = 0;
    for (const GemmArgs& args : outer_) {
      add_part(args, chunk_at(args, c, kLongestSlice), main_a);
      if (const i64 floats = sums_floats(args); floats > 0) {
        parts_[count_ - 1].sums = sums;
        sums += floats;
      }
    }
    panel_ = round_up(panel_, kLineFloats);
    // The inner products' panels all go into the first group, with at least one of an outer
    // product: their rows must be there before a short piece reads them.
    group_panels_ = std::min(panels(), std::max<i64>(inner_panels() + 1, kGroupDwords / panel_));
  }

  // The inner products of the rows of a piece.
  void add_inner(const Piece& piece, const Rows& a) {
    for (const GemmArgs& args : inner_) {
      if (same_a(args, *piece.term)) {
        Chunk chunk;
        chunk.add({&args, piece.k, piece.K});
        chunk.first = piece.k == 0;
        add_part(args, chunk, &a);
      }
    }
  }

  // `a`: the pieces of A that are not short.
  void add_part(const GemmArgs& args, const Chunk& chunk, const Rows* a) {
    const i64 first = count_ == 0 ? 0 : panels();
    Part& part = parts_[count_++];
    part = Part();
    part.args = &args;
    part.chunk = chunk;
    part.first_panel = first;
    part.end_panel = first + ceil_div(args.N, kernels_.width);
    part.in_parts = keeps_parts(chunk);
    part.streams = chunk.last && can_stream(args);
    i64 steps = 0;
    i64 packed = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      part.a[p] = is_joined(chunk, p) ? place(chunk.pieces[p]) : a[p];
      steps += part.a[p].K;
      part.prepacked[p] = panels_of(args, chunk.pieces[p]);
      packed += part.prepacked[p] == nullptr ? part.a[p].K : 0;
    }
    panel_ = std::max(panel_, packed / 2 * kernels_.width);
    reach_ = std::max(reach_, steps / 2 * kernels_.width);
  }

  // Room for the rows of a piece that must be packed.
  Rows place(const Piece& piece) {
    Rows rows;
    rows.at = a_values_;
    if (packing_.in_place(*piece.term, piece.K)) {
      rows.first = M_ / kernels_.height * kernels_.height;
    }
    rows.K = packing_.padded(piece.K);
    rows.stride = packing_.row_stride(piece.K);
    a_values_ += round_up(M_ - rows.first, kPackedRows) * rows.stride;
    return rows;
  }

  void multiply_group(const Range& group) {
    pack_a(group);
    if (M_ <= kOneBlockRows && inner_count_ == 0) {
      multiply_with_own_panels(group);
      return;
    }
    pack_group(group);
    const i64 row_blocks = ceil_div(M_, kBlockRows);
    const auto rows = [&](i64 block) {
      return Range{block * kBlockRows, std::min(M_, (block + 1) * kBlockRows)};
    };
    Range outer = group;
    if (group.begin == 0 && inner_count_ > 0) {
      // Inner products first, by blocks of rows: a block's C is complete when its short rows are
      // packed.
      parallel_for(row_blocks, [&](i64 block) {
        multiply(group, {0, inner_panels()}, rows(block));
        pack_short_rows(rows(block));
      });
      outer.begin = inner_panels();
    }
    const i64 near = std::max<i64>(1, kBlockDwords / reach_);
    const i64 column_blocks = std::min(
        outer.size(), std::max(ceil_div(outer.size(), near), ceil_div(kMinTasks, row_blocks)));
    // A few blocks of rows meet a block of panels before the next does: it stays in L2, and the
    // rows are near.
    parallel_for(row_blocks * column_blocks, [&](i64 task) {
      const i64 run = task / (kRowRun * column_blocks);
      const i64 run_blocks = std::min(kRowRun, row_blocks - run * kRowRun);
      const i64 place = task - run * kRowRun * column_blocks;
      const i64 column = place / run_blocks;
      multiply(group,
               {outer.begin + column * outer.size() / column_blocks,
                outer.begin + (column + 1) * outer.size() / column_blocks},
               rows(run * kRowRun + place % run_blocks));
    });
  }

  // Few rows: who packs some panels multiplies them with all rows, and finds them in its own
  // caches.
  void multiply_with_own_panels(const Range& group) {
    const i64 wide = std::clamp<i64>(group.size() / kMinOwnTasks, 1, kMaxOwnPanels);
    parallel_for(ceil_div(group.size(), wide), [&](i64 task) {
      const i64 begin = group.begin + task * wide;
      const Range own = {begin, std::min(group.end, begin + wide)};
      for (i64 i = 0; i < count_; ++i) {
        const Range panels = own_panels(parts_[i], own);
        if (panels.size() > 0) {
          pack_all_steps(parts_[i], group, panels);
        }
      }
      multiply(group, own, {0, M_});
    });
  }

  void pack_all_steps(const Part& part, const Range& group, const Range& panels) {
    const i64 n = (panels.begin - part.first_panel) * kernels_.width;
    const i64 N = std::min(panels.size() * kernels_.width, part.args->N - n);
    i64 k2 = 0;
    for (i64 p = 0; p < part.chunk.count; ++p) {
      if (part.prepacked[p] == nullptr) {
        const BPart piece = b_part(part.chunk.pieces[p], n, N);
        packing_.columns(piece, k2, b_ + (panels.begin - group.begin) * panel_, panel_);
        k2 += packing_.padded(piece.K) / 2;
      }
    }
  }

  void pack_a(const Range& group) {
    const i64 runs = group.begin == 0 ? ceil_div(M_, kPackedRows) : 0;
    parallel_for(runs, [&](i64 task) {
      const Range rows = {task * kPackedRows, std::min(M_, (task + 1) * kPackedRows)};
      const Part& outer = parts_[count_ - 1];
      for (i64 p = 0; p < outer.chunk.count; ++p) {
        if (!is_joined(outer.chunk, p)) {
          pack_rows(outer, p, rows);
        }
      }
      if (inner_count_ == 0) {
        pack_short_rows(rows);
      }
    });
  }

  void pack_group(const Range& group) {
    i64 packs = 0;
    for (i64 i = 0; i < count_; ++i) {
      packs += pack_tasks(parts_[i], group);
    }
    parallel_for(packs, [&](i64 task) {
      const Part* part = parts_;
      for (i64 here = 0; task >= (here = pack_tasks(*part, group)); ++part) {
        task -= here;
      }
      pack_panels(*part, group, task);
    });
  }

  static Range own_panels(const Part& part, const Range& group) {
    return {std::max(group.begin, part.first_panel), std::min(group.end, part.end_panel)};
  }
  static i64 step_blocks(const Part& part) {
    return part.across() ? ceil_div(part.chunk.pieces[0].K, kPackedSteps) : 1;
  }
  static i64 pack_tasks(const Part& part, const Range& group) {
    const i64 panels = std::max<i64>(0, own_panels(part, group).size());
    return ceil_div(panels, part.across() ? kPackedWide : kPackedPanels) * step_blocks(part);
  }

  // Some panels, and of an operand that runs across them some steps.
  void pack_panels(const Part& part, const Range& group, i64 task) {
    const Range own = own_panels(part, group);
    const i64 wide = part.across() ? kPackedWide : kPackedPanels;
    const i64 steps = step_blocks(part);
    const i64 panel = own.begin + task / steps * wide;
    const i64 n = (panel - part.first_panel) * kernels_.width;
    const i64 N = std::min(std::min(wide, own.end - panel) * kernels_.width, part.args->N - n);
    u32* to = b_ + (panel - group.begin) * panel_;
    i64 k2 = 0;
    for (i64 p = 0; p < part.chunk.count; ++p) {
      if (part.prepacked[p] != nullptr) {
        continue;
      }
      BPart piece = b_part(part.chunk.pieces[p], n, N);
      const i64 padded = packing_.padded(piece.K);
      if (p == 0 && part.across()) {
        const i64 k = task % steps * kPackedSteps;
        piece.k += k;
        piece.K = std::min(kPackedSteps, piece.K - k);
        packing_.columns(piece, k / 2, to, panel_);
      } else if (task % steps == 0) {
        packing_.columns(piece, k2, to, panel_);
      }
      k2 += padded / 2;
    }
  }

  void pack_rows(const Part& part, i64 p, const Range& rows) {
    const Piece& piece = part.chunk.pieces[p];
    const Rows& a = part.a[p];
    const i64 begin = std::max(rows.begin, a.first);
    if (begin < rows.end) {
      packing_.rows(*piece.term, begin, piece.k, piece.K, rows.end - begin,
                    round_up(rows.end - begin, kernels_.height),
                    a_ + a.at + (begin - a.first) * a.stride);
    }
  }

  // Those that an inner product may have made.
  void pack_short_rows(const Range& rows) {
    for (i64 i = inner_count_; i < count_; ++i) {
      for (i64 p = 1; p < parts_[i].chunk.count; ++p) {
        if (is_joined(parts_[i].chunk, p)) {
          pack_rows(parts_[i], p, rows);
        }
      }
    }
  }

  void multiply(const Range& group, const Range& panels, const Range& rows) const {
    kernels_.begin();
    // Without AMX a tile's rows stay in L1 and panels stream from L2; with it, panels are the outer
    // loop.
    if (kernels_.full[0] != nullptr) {
      for (i64 r = rows.begin; r < rows.end; r += kernels_.height) {
        const Range tile = {r, std::min(rows.end, r + kernels_.height)};
        for_panels(panels, [&](const Part& part, i64 panel) {
          multiply_tile(part, group, panel, tile, panel == panels.begin && tile.end < rows.end);
        });
      }
    } else {
      for_panels(panels, [&](const Part& part, i64 panel) {
        for (i64 r = rows.begin; r < rows.end; r += kernels_.height) {
          multiply_tile(part, group, panel, {r, std::min(rows.end, r + kernels_.height)}, false);
        }
      });
    }
    kernels_.end();
    tiles_.finish_streams();
  }

  template <class Body>
  void for_panels(const Range& panels, Body body) const {
    const Part* part = parts_;
    for (i64 panel = panels.begin; panel < panels.end; ++panel) {
      while (panel >= part->end_panel) {
        ++part;
      }
      body(*part, panel);
    }
  }

  // `fetch`: the next tile's rows are asked for.
  void multiply_tile(const Part& part, const Range& group, i64 panel, const Range& rows,
                     bool fetch) const {
    const u32* b = b_ + (panel - group.begin) * panel_;
    const i64 n = (panel - part.first_panel) * kernels_.width;
    const i64 width = kernels_.panel_width(part.args->N - n);
    const i64 cols = std::min(width, part.args->N - n);
    const TileOutput out = output_of(part, rows.begin, n);
    Bf16Steps steps[kMaxPieces];
    for (i64 p = 0; p < part.chunk.count; ++p) {
      steps[p] = steps_of(part, p, rows.begin);
      // With the first panel of a tile only: once asked for, the next rows are near.
      steps[p].ahead = fetch ? kernels_.height * steps[p].a_stride : 0;
      if (part.prepacked[p] != nullptr) {
        steps[p].b = part.prepacked[p] + n * (part.a[p].K / 2);
      } else {
        steps[p].b = b;
        b += part.a[p].K / 2 * width;
      }
    }
    const bool kept_a = part.chunk.count > 0 && part.chunk.pieces[0].term->a_kept != nullptr;
    if (const auto full = kernels_.full[width / 16 - 1];
        full != nullptr && rows.size() == kernels_.height && cols == width && !part.in_parts &&
        !kept_a) {
      full(steps, part.chunk.count, b, out);
      return;
    }
    alignas(64) float sums[kTileValues];
    if (kept_a) {
      kept_a_product(part, steps[0], rows, width, sums);
    } else if (part.in_parts) {
      product_in_parts(part, steps, {rows.begin, n, rows.size(), cols}, width, sums);
    } else {
      kernels_.product(steps, part.chunk.count, rows.size(), b, width, sums);
    }
    tiles_.write(sums, width, rows.size(), cols, out);
  }

  // Rows and columns of C that a tile has, from (i, n) on.
  struct Place {
    i64 i, n, rows, cols;
  };

  // The chain of products that are added whole, and to it what is kept of the others.
  void product_in_parts(const Part& part, const Bf16Steps* steps, const Place& place, i64 width,
                        float* sums) const {
    Bf16Steps chain[kMaxPieces];
    i64 count = 0;
    for (i64 p = 0; p < part.chunk.count; ++p) {
      if (part.chunk.pieces[p].term->kept == nullptr) {
        chain[count++] = steps[p];
      }
    }
    kernels_.product(chain, count, place.rows, nullptr, width, sums);
    for (i64 p = 0; p < part.chunk.count; ++p) {
      const GemmTerm& term = *part.chunk.pieces[p].term;
      if (term.kept != nullptr) {
        alignas(64) float product[kTileValues];
        kernels_.product(steps + p, 1, place.rows, nullptr, width, product);
        tiles_.add_kept(product, width, place.rows, place.cols,
                        kept_of(*part.args, term, place.i, place.n), sums);
      }
    }
  }

  // The product of the values of A that count. They are copied a few steps at a time, and never
  // leave the first-level cache.
  void kept_a_product(const Part& part, const Bf16Steps& steps, const Range& rows, i64 width,
                      float* sums) const {
    constexpr i64 kStride = kKeptSteps + 32;  // not a power of two (Bf16Packing::row_stride)
    alignas(64) u16 kept[kTileRows * kStride];
    alignas(64) float product[kTileValues];
    const Piece& piece = part.chunk.pieces[0];
    std::fill(kept + rows.size() * kStride, kept + kernels_.height * kStride, u16{0});
    for (i64 k = 0; k < steps.K; k += kKeptSteps) {
      const KeptBits bits = {piece.term->a_kept, rows.begin * piece.term->K + piece.k + k,
                             piece.term->K};
      kernels_.keep(steps.a + k, steps.a_stride, rows.size(), std::min(kKeptSteps, piece.K - k),
                    bits, kept, kStride);
      const Bf16Steps some = {std::min(kKeptSteps, steps.K - k), kept, kStride, 0,
                              steps.b + k / 2 * width};
      kernels_.product(&some, 1, rows.size(), nullptr, width, k == 0 ? sums : product);
      for (i64 i = 0; k > 0 && i < rows.size() * width; ++i) {
        sums[i] += product[i];
      }
    }
  }

  // Of the tile whose first row is i.
  Bf16Steps steps_of(const Part& part, i64 p, i64 i) const {
    const Rows& a = part.a[p];
    if (i >= a.first) {
      return {a.K, a_ + a.at + (i - a.first) * a.stride, a.stride};
    }
    const Piece& piece = part.chunk.pieces[p];
    const i64 stride = piece.term->a_row_stride;
    return {a.K, piece.term->a_bf16 + i * stride + piece.k, stride};
  }

  // Those of all columns, for the slice of a piece.
  const u32* panels_of(const GemmArgs& args, const Piece& piece) const {
    const auto* panels =
        reinterpret_cast<const u32*>(kernels::panels_of(*piece.term, args.compute));
    return panels == nullptr ? nullptr : panels + slice_place(args.N, piece.k, kernels_);
  }

  TileOutput output_of(const Part& part, i64 i, i64 n) const {
    TileOutput out = chunk_output(*part.args, part.chunk, i, n);
    out.stream = part.streams;
    // A C of bf16 would round after each chunk: the sums so far are f32, in scratch memory.
    if (part.sums >= 0) {
      float* sums = sums_ + part.sums + i * part.args->N + n;
      if (!part.chunk.first) {
        out.so_far = sums;
        out.so_far_row_stride = part.args->N;
      }
      if (!part.chunk.last) {
        out.c = sums;
        out.c_bf16 = nullptr;
        out.c_row_stride = part.args->N;
      }
    }
    return out;
  }

  const std::span<const GemmArgs> inner_, outer_;
  const GemmBf16& kernels_;
  const Bf16Packing packing_;
  const GemmTiles& tiles_;
  const i64 M_, chunks_;
  Part parts_[2 * kProductsTogether];  // the inner products of the chunk, then the outer ones
  i64 count_ = 0, inner_count_ = 0;
  i64 panel_ = 1;  // dwords of one
  i64 reach_ = 1;  // the same, prepacked pieces included
  i64 group_panels_ = 0;
  i64 a_values_ = 0;
  float* sums_ = nullptr;
  u16* a_ = nullptr;
  u32* b_ = nullptr;
};

}  // namespace

bool share_rows(const GemmArgs& first, const GemmArgs& other) {
  const auto only_short = [](const GemmArgs& args) {
    return args.more.size() < kMaxChained && std::ranges::all_of(args.more, is_short);
  };
  return first.K > 0 && first.M == other.M && same_a(first, other) && only_short(first) &&
         only_short(other);
}

bool has_rows_of(const GemmArgs& outer, const GemmArgs& inner) {
  const auto matches = [&](const GemmTerm& term) { return !is_short(term) && same_a(term, inner); };
  // A long piece is packed before the inner products are there.
  const auto comes_too_late = [&](const GemmTerm& term) {
    return !is_short(term) && makes(inner, term);
  };
  return inner.K > 0 && inner.M == outer.M && inner.more.empty() &&
         (same_a(outer, inner) || std::ranges::any_of(outer.more, matches)) &&
         std::ranges::none_of(outer.more, comes_too_late);
}

i64 bf16_panels_floats(const MatrixRef& m, bool b_transposed, const GemmBf16& kernels) {
  const auto [K, N] = sides(m, b_transposed);
  return Bf16Packing(kernels).padded(K) / 2 * padded_columns(N, kernels);
}

void pack_bf16_panels(const MatrixRef& m, bool b_transposed, const GemmBf16& kernels,
                      std::span<float> to) {
  const auto [K, N] = sides(m, b_transposed);
  const Bf16Packing packing(kernels);
  const i64 length = slice_length(K, kLongestSlice);
  const i64 slices = ceil_div(K, length);
  const i64 columns = (b_transposed ? kPackedPanels : kPackedWide) * kernels.width;
  auto* panels = reinterpret_cast<u32*>(to.data());
  parallel_for(slices * ceil_div(N, columns), [&, K = K, N = N](i64 task) {
    const i64 k = task % slices * length;
    const i64 n = task / slices * columns;
    const i64 steps = std::min(length, K - k);
    const i64 padded = packing.padded(steps);
    packing.columns({m, b_transposed, k, steps, n, std::min(columns, N - n)}, 0,
                    panels + slice_place(N, k, kernels) + n * (padded / 2),
                    padded / 2 * kernels.width);
  });
}

i64 bf16_scratch(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                 const GemmBf16& kernels) {
  return Bf16Nest(inner, outer, kernels).scratch();
}

void bf16_products(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                   const GemmBf16& kernels, std::span<float> scratch) {
  Bf16Nest(inner, outer, kernels).run(scratch);
}

}  // namespace inlay::kernels
