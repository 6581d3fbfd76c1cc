// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "core/kernels/cpu/products/gemm_pack.h"
#include "core/kernels/cpu/products/gemm_schemes.h"
#include "core/kernels/cpu/products/gemm_stored_rows.h"
#include "core/parallel.h"

// Decoding a token, or the gradient of a low-rank factor: B is large, and each of its values is
// used a few times only. Packing it for everybody would cost more than the product, so a task takes
// some columns through a chunk of K by itself, in strips that stay in the first-level cache; A is
// read in place and the sums rest in memory between strips. Where there are several chunks,
// each is a task of its own, whose sums wait in the scratch memory for those before them.
namespace inlay::kernels {
namespace {

// Panels a task when the rows of B run across them: enough to decode a good run of a row.
constexpr i64 kMaxFewGroup = 8;
constexpr i64 kMinFewGroup = 4;
constexpr i64 kMaxCols = kMaxFewGroup * kMaxTileWidth;
// A strip of B: 24 KB, which is 128 steps of one panel or 16 of eight.
constexpr i64 kFewStripFloats = 6144;

class ColumnsProduct {
 public:
  ColumnsProduct(const GemmArgs& args, i64 n, i64 N)
      : args_(args),
        tiles_(INLAY_SELECT(kGemmTiles)),
        shape_(tiles_),
        n_(n),
        N_(N),
        sum_stride_(round_up(N, shape_.lanes)) {}

  /// Floats that the sums of a chunk take.
  i64 floats() const { return args_.M * sum_stride_; }

  void sum(const Chunk& chunk, float* sums) {
    std::fill_n(sums, floats(), 0.0F);
    for (i64 p = 0; p < chunk.count; ++p) {
      if (chunk.pieces[p].term->kept == nullptr) {
        add_piece(chunk.pieces[p], sums);
      } else {
        add_kept(chunk.pieces[p], sums);
      }
    }
  }

  void write(const Chunk& chunk, const float* sums) const {
    tiles_.write(sums, sum_stride_, args_.M, N_, chunk_output(args_, chunk, 0, n_));
  }

 private:
  void add_piece(const Piece& piece, float* sums) {
    const i64 steps = kFewStripFloats / sum_stride_ / 16 * 16;
    sums_ = sums;
    for (i64 k = 0; k < piece.K; k += steps) {
      add_strip({piece.term, piece.k + k, std::min(steps, piece.K - k)});
    }
  }

  // Not inlined: others need no room for a product of its own.
  [[gnu::noinline]] void add_kept(const Piece& piece, float* sums) {
    alignas(64) float product[kFewRows * kMaxCols];
    std::fill_n(product, floats(), 0.0F);
    add_piece(piece, product);
    tiles_.add_kept(product, sum_stride_, args_.M, N_, kept_of(args_, *piece.term, 0, n_), sums);
  }

  void add_strip(const Piece& strip) {
    const BPart part = b_part(strip, n_, N_);
    if (const float* rows = rows_in_place<float>(part)) {
      add_in_place(strip, rows, tiles_.sum);
    } else if (const u16* bf16 = rows_in_place<u16>(part)) {
      add_in_place(strip, bf16, tiles_.sum_bf16);
    } else {
      pack_b(part, {strip_, part.K * shape_.width, 0});
      for (i64 p = 0; p < shape_.count(N_); ++p) {
        add_panel(strip, p, strip_ + p * strip.K * shape_.width, shape_.width_of(p, N_),
                  tiles_.sum);
      }
    }
  }

  template <class Value, class Sum>
  void add_in_place(const Piece& strip, const Value* rows, Sum add) {
    const i64 stride = strip.term->b.row_bytes / static_cast<i64>(sizeof(Value));
    const i64 next_rows = std::min(strip.K, strip.term->K - strip.k - strip.K);
    for (i64 p = 0; p < shape_.count(N_); ++p) {
      const i64 j = p * shape_.width;
      const i64 width = shape_.width_of(p, N_);
      fetch(rows + strip.K * stride + j, stride, next_rows, std::min(width, N_ - j));
      if (j + width <= N_) {
        add_panel(strip, p, rows + j, stride, add);
      } else {  // the tile would read past the ends of the rows
        pack_b(b_part(strip, n_ + j, N_ - j), {strip_, 0, 0});
        add_panel(strip, p, strip_, width, tiles_.sum);
      }
    }
  }

  // Asks for the same columns of the next strip: no processor foresees short pieces of many rows.
  template <class Value>
  static void fetch(const Value* from, i64 stride, i64 rows, i64 columns) {
    constexpr i64 kLineValues = 64 / static_cast<i64>(sizeof(Value));
    for (i64 r = 0; r < rows; ++r) {
      for (i64 c = 0; c < columns; c += kLineValues) {
        __builtin_prefetch(from + r * stride + c);
      }
    }
  }

  template <class Value, class Sum>
  void add_panel(const Piece& strip, i64 p, const Value* b, i64 b_stride, Sum add) {
    for (i64 i = 0; i < args_.M; i += tiles_.rows) {
      add(strip.K, std::min(tiles_.rows, args_.M - i), shape_.width_of(p, N_) / shape_.lanes,
          a_from(*strip.term, i, strip.k), b, b_stride, sums_ + i * sum_stride_ + p * shape_.width,
          sum_stride_);
    }
  }

  alignas(64) float strip_[kFewStripFloats];
  const GemmArgs& args_;
  const GemmTiles& tiles_;
  const PanelShape shape_;
  const i64 n_, N_, sum_stride_;
  float* sums_ = nullptr;
};

// Very few rows of A, and B stored [N, K], the weight of a layer: its rows are decoded in
// registers, some of them side by side, and never packed (gemm_stored_rows.isa.cc).
static_assert(kMaxStoredSteps >= kMaxSlice);

bool reads_stored_rows(const GemmTerm& term, const GemmStoredRows& kernels) {
  const bool forward = term.b_transposed && (term.a_col_stride == 1 || term.K <= 1);
  if (!forward || kernels.sum[static_cast<int>(term.b.format)] == nullptr) {
    return false;
  }
  const i64 block = term.b.four_bit.block_size;
  return term.b.format != MatrixFormat::kFourBit ||
         (block % 32 == 0 && term.b.cols % block == 0 && !term.b.four_bit.low_first);
}

// From here on packing pays: each block would be decoded again for every kMaxStoredM rows.
constexpr i64 kFewStoredRows = 8;

bool reads_stored_rows(const GemmArgs& args, const GemmStoredRows& kernels) {
  return args.M <= kFewStoredRows &&
         reads_stored_rows(static_cast<const GemmTerm&>(args), kernels) &&
         std::ranges::all_of(args.more,
                             [&](const GemmTerm& t) { return reads_stored_rows(t, kernels); });
}

class StoredRowsProduct {
 public:
  StoredRowsProduct(const GemmArgs& args, const GemmStoredRows& kernels)
      : args_(args),
        kernels_(kernels),
        tiles_(INLAY_SELECT(kGemmTiles)),
        task_columns_(kernels.rows *
                      std::clamp<i64>(args.N / (kTasks * kernels.rows), 1, kMaxTaskBlocks)) {}

  i64 tasks() const { return ceil_div(args_.N, task_columns_); }

  void run(i64 task) const {
    const i64 end = std::min(args_.N, (task + 1) * task_columns_);
    fetch_first(task * task_columns_);
    for (i64 n = task * task_columns_; n < end; n += kernels_.rows) {
      run_columns(n, std::min(kernels_.rows, end - n), n + kernels_.rows);
    }
  }

 private:
  // Long runs of memory a task, but enough tasks for all threads to end together.
  static constexpr i64 kTasks = 32, kMaxTaskBlocks = 8;

  void run_columns(i64 n, i64 N, i64 next) const {
    alignas(64) float sums[kFewStoredRows * kMaxStoredRows];
    for_chunks(args_, [&](const Chunk& chunk) {
      std::fill_n(sums, args_.M * kernels_.rows, 0.0F);
      for (i64 p = 0; p < chunk.count; ++p) {
        add_piece(chunk.pieces[p], n, N, next, sums);
      }
      tiles_.write(sums, kernels_.rows, args_.M, N, chunk_output(args_, chunk, 0, n));
    });
  }

  void add_piece(const Piece& piece, i64 n, i64 N, i64 next, float* sums) const {
    StoredRows s;
    s.k = piece.k;
    s.K = piece.K;
    s.a_row_stride = piece.term->a_row_stride;
    s.sum_stride = kernels_.rows;
    find_rows(piece.term->b, n, N, s);
    prefetch_rows(piece, next, s);
    for (i64 i = 0; i < args_.M; i += kMaxStoredM) {
      s.a = piece.term->a + i * s.a_row_stride;
      s.M = std::min(kMaxStoredM, args_.M - i);
      s.sums = sums + i * s.sum_stride;
      kernels_.sum[static_cast<int>(piece.term->b.format)](s);
    }
  }

  // Missing rows are read from one that exists.
  void find_rows(const MatrixRef& b, i64 n, i64 N, StoredRows& s) const {
    s.four_bit = &b.four_bit;
    const u8* data = static_cast<const u8*>(b.data);
    const i64 row_bytes = stored_row_bytes(b);
    for (i64 r = 0; r < kernels_.rows; ++r) {
      const i64 row = n + std::min(r, N - 1);
      s.rows[r] = data + (b.row_map != nullptr ? b.row_map[row] : row) * row_bytes;
    }
    if (b.format == MatrixFormat::kFourBit) {
      for (i64 r = 0; r < kernels_.rows; ++r) {
        s.first_block[r] = (s.rows[r] - data) * 2 / b.four_bit.block_size;
      }
    }
  }

  static i64 stored_row_bytes(const MatrixRef& b) {
    return b.format == MatrixFormat::kFourBit ? b.cols / 2 : b.row_bytes;
  }

  // Where the rows from n on are stored, some of them read by a call. Row maps move a row a little
  // only.
  std::span<const u8> bytes_of(const MatrixRef& b, i64 n) const {
    const i64 rows = std::clamp<i64>(args_.N - n, 0, kernels_.rows);
    const i64 row_bytes = stored_row_bytes(b);
    return {static_cast<const u8*>(b.data) + n * row_bytes,
            static_cast<std::size_t>(rows * row_bytes)};
  }

  // The rows this thread takes next, a part of them with each piece: the processor's own
  // prefetching finds no pattern in many rows at once.
  void prefetch_rows(const Piece& piece, i64 next, StoredRows& s) const {
    const std::span<const u8> bytes = bytes_of(piece.term->b, next);
    const i64 size = static_cast<i64>(bytes.size());
    s.next = bytes.data() + size * piece.k / piece.term->K;
    s.next_bytes = size * piece.K / piece.term->K;
  }

  // The first rows of a thread's share nobody has asked for: at once, in the order of their
  // addresses, rather than one wait after the other; but no more than a strip's.
  void fetch_first(i64 n) const {
    constexpr std::size_t kMaxFetchedBytes = 24 << 10;
    // Where this thread's last task said the next would begin: a thread that goes on in order has
    // asked for these rows already.
    static thread_local const u8* expected = nullptr;
    const std::span<const u8> bytes = bytes_of(args_.b, n);
    if (bytes.data() != expected) {
      const std::size_t size = std::min(bytes.size(), kMaxFetchedBytes);
      for (std::size_t at = 0; at < size; at += 64) {
        __builtin_prefetch(bytes.data() + at, 0, 2);
      }
    }
    expected = bytes_of(args_.b, n + task_columns_).data();
  }

  const GemmArgs& args_;
  const GemmStoredRows& kernels_;
  const GemmTiles& tiles_;
  const i64 task_columns_;
};

}  // namespace

bool reads_stored_rows(const GemmArgs& args) {
  return reads_stored_rows(args, INLAY_SELECT(kGemmStoredRows));
}

void stored_rows_products(std::span<const GemmArgs> products) {
  constexpr std::size_t kMaxTogether = 8;
  while (products.size() > kMaxTogether) {
    stored_rows_products(products.first(kMaxTogether));
    products = products.subspan(kMaxTogether);
  }
  const GemmStoredRows& kernels = INLAY_SELECT(kGemmStoredRows);
  i64 first[kMaxTogether + 1] = {};  // task of each product
  for (std::size_t i = 0; i < products.size(); ++i) {
    first[i + 1] = first[i] + StoredRowsProduct(products[i], kernels).tasks();
  }
  parallel_for(first[products.size()], [&](i64 task) {
    std::size_t i = 0;
    while (task >= first[i + 1]) {
      i += 1;
    }
    StoredRowsProduct(products[i], kernels).run(task - first[i]);
  });
}

namespace {

// How the columns are divided into groups, and what of the scratch memory is a group's.
struct FewRowsGroups {
  explicit FewRowsGroups(const GemmArgs& product) : args(product), shape(INLAY_SELECT(kGemmTiles)) {
    const i64 panels = shape.count(args.N);
    // A transposed B is read along its rows, one panel at a time.
    group = args.b_transposed ? 1 : std::clamp(panels / 8, kMinFewGroup, kMaxFewGroup);
    groups = ceil_div(panels, group);
    chunks = count_chunks(args);
    // A sum over tokens has few columns but many steps, so steps are what threads can share.
    splits_chunks = chunks > 1 && args.a_col_stride != 1 && all_floats() <= kMaxWaitingFloats;
  }

  ColumnsProduct columns(i64 index) const {
    const i64 n = index * group * shape.width;
    return {args, n, std::min(group * shape.width, args.N - n)};
  }
  i64 group_floats() const { return args.M * group * shape.width; }
  i64 all_floats() const { return chunks * groups * group_floats(); }

  // Beyond 2 MB of sums there are columns enough to share out.
  static constexpr i64 kMaxWaitingFloats = i64{1} << 19;

  const GemmArgs& args;
  const PanelShape shape;
  i64 group = 0, groups = 0, chunks = 0;
  bool splits_chunks = false;  // a sum over tokens is shared out by tokens too
};

}  // namespace

i64 few_rows_scratch(const GemmArgs& args) {
  const FewRowsGroups g(args);
  return g.splits_chunks ? g.all_floats() : 0;
}

void few_rows_product(const GemmArgs& args, std::span<float> scratch) {
  const FewRowsGroups g(args);
  if (!g.splits_chunks) {
    parallel_for(g.groups, [&](i64 index) {
      alignas(64) float sums[kFewRows * kMaxCols];
      ColumnsProduct columns = g.columns(index);
      for_chunks(args, [&](const Chunk& chunk) {
        columns.sum(chunk, sums);
        columns.write(chunk, sums);
      });
    });
    return;
  }
  INLAY_ASSERT(std::ssize(scratch) >= few_rows_scratch(args));
  const auto sums_of = [&](i64 chunk, i64 group) {
    return scratch.data() + (chunk * g.groups + group) * g.group_floats();
  };
  // A thread's tasks are the same tokens in one product after the other: they stay in its caches.
  parallel_for(g.chunks * g.groups, [&](i64 task) {
    const i64 chunk = task / g.groups, group = task % g.groups;
    g.columns(group).sum(chunk_at(args, chunk), sums_of(chunk, group));
  });
  parallel_for(g.groups, [&](i64 group) {
    const ColumnsProduct columns = g.columns(group);
    i64 number = 0;
    // In the order of the chunks, which is the order of every sum (gemm_schemes.h).
    for_chunks(args, [&](const Chunk& chunk) { columns.write(chunk, sums_of(number++, group)); });
  });
}

}  // namespace inlay::kernels
