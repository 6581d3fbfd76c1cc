// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/kernels/cpu/isa/peak.h"
#include "core/kernels/gemm.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/bench/native.h"

// inlay_gemm_bench [rounds] [words...]
//
// GFLOP/s of the products of training and decoding, with packing, beside a register-only loop of
// multiply-adds and Eigen. All are run in turn, `rounds` times (20), and the shortest time of each
// counts: on a shared machine that is what the code can do, the rest is what the neighbours did.
// Only products whose name contains all the words are run. "rounded": to bf16.
//
//   NT  y[M, N] = x[M, K] W[N, K]^T      NN  dx[M, N] = dy[M, K] W[K, N]      TN  dW = dy^T x
//
// With M <= 8 each call reads other weights, 256 MB in turn, as decoding does.
namespace {

using inlay::i32;
using inlay::i64;
using inlay::u16;
using inlay::u8;
using inlay::kernels::GemmArgs;
using inlay::kernels::GemmCompute;
using inlay::kernels::MatrixFormat;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Shape {
  const char* op;
  i64 M, K, N;
  MatrixFormat format = MatrixFormat::kF32;
  GemmCompute compute = GemmCompute::kF32;
};

std::string name_of(const Shape& s) {
  return inlay::str(s.op, " M", s.M, " K", s.K, " N", s.N, " ",
                    inlay::kernels::format_name(s.format),
                    s.compute == GemmCompute::kBf16 ? " rounded" : "");
}

constexpr float kNf4[16] = {-1.0F,        -0.6961928F,  -0.52507305F,  -0.3949175F,
                            -0.28444138F, -0.18477343F, -0.091050036F, 0.0F,
                            0.0795803F,   0.1609302F,   0.2461123F,    0.33791524F,
                            0.44070983F,  0.562617F,    0.72295684F,   1.0F};

// One pool of operands for all products: benchmarks take turns, so nothing is warm by accident.
struct Operands {
  std::vector<float> a = std::vector<float>(i64{32} << 20);
  std::vector<float> c = std::vector<float>(i64{128} << 20);
  std::vector<float> b = std::vector<float>(i64{64} << 20);
  std::vector<float> absmax = std::vector<float>(i64{4} << 20, 0.05F);
  std::vector<float> scratch = std::vector<float>(i64{8} << 20);

  Operands() {
    inlay::fill_uniform(a, inlay::RandomKey(1), -1.0F, 1.0F);
    inlay::fill_uniform(b, inlay::RandomKey(2), -1.0F, 1.0F);
  }
};

struct Timing {
  double best = 1e9;
  void add(double seconds) { best = std::min(best, seconds); }
};

class Bench {
 public:
  Bench(const Shape& shape, int threads, Operands& pool)
      : shape_(shape), threads_(threads), pool_(pool) {
    const std::string op = shape.op;
    args_.M = shape.M;
    args_.N = shape.N;
    args_.K = shape.K;
    args_.a = pool.a.data();
    args_.a_row_stride = op == "TN" ? 1 : shape.K;
    args_.a_col_stride = op == "TN" ? shape.M : 1;
    args_.b_transposed = op == "NT";
    args_.c = pool.c.data();
    args_.c_row_stride = shape.N;
    args_.b.format = shape.format;
    args_.b.rows = args_.b_transposed ? shape.N : shape.K;
    args_.b.cols = args_.b_transposed ? shape.K : shape.N;
    args_.b.data = pool.b.data();
    const auto block = inlay::kernels::block_size(shape.format);
    args_.b.row_bytes = args_.b.cols / block.values * block.bytes;
    args_.compute = shape.compute;
    args_.b.four_bit.code = kNf4;
    args_.b.four_bit.absmax = pool.absmax.data();
    b_bytes_ = args_.b.rows * args_.b.row_bytes;
  }

  void round() {
    inlay::set_num_threads(threads_);
    next_weights();
    ours_.add(seconds([&] { inlay::kernels::gemm(args_, pool_.scratch); }));
    if (shape_.format == MatrixFormat::kF32) {
      next_weights();
      eigen_.add(seconds([&] { inlay::bench::eigen_gemm(args_, threads_); }));
    }
    peak_.add(seconds([&] {
                inlay::parallel_for(threads_, [&](i64 task) {
                  flops_[task] = inlay::kernels::fma_loop(500, &sinks_[task * 64]);
                });
              }) /
              flops_[0] / threads_);
  }

  double peak() const { return peak_.best; }
  void print(double peak_seconds) const {
    const double flops = 2.0 * static_cast<double>(shape_.M) * static_cast<double>(shape_.N) *
                         static_cast<double>(shape_.K);
    const double rate = flops / ours_.best * 1e-9;
    const double bytes = static_cast<double>(b_bytes_);
    std::printf("%-34s %d  %7.1f GFLOP/s  %5.1f %%  %6.1f GB/s", name_of(shape_).c_str(), threads_,
                rate, 100.0 * flops / ours_.best * peak_seconds, bytes / ours_.best * 1e-9);
    if (shape_.format == MatrixFormat::kF32) {
      std::printf("   Eigen %7.1f", flops / eigen_.best * 1e-9);
    }
    std::printf("\n");
  }

 private:
  template <class F>
  double seconds(F f) const {
    const double start = now();
    f();
    return now() - start;
  }

  void next_weights() {
    if (shape_.M <= 8) {
      const i64 pool_bytes = static_cast<i64>(pool_.b.size()) * 4;
      offset_ += (b_bytes_ + 63) / 64 * 64;
      offset_ = offset_ + b_bytes_ > pool_bytes ? 0 : offset_;
      args_.b.data = reinterpret_cast<const u8*>(pool_.b.data()) + offset_;
    }
  }

  Shape shape_;
  int threads_;
  Operands& pool_;
  GemmArgs args_;
  i64 b_bytes_ = 0, offset_ = 0;
  double flops_[64] = {};
  float sinks_[64 * 64] = {};
  Timing ours_, eigen_, peak_;
};

std::vector<Shape> all_shapes() {
  constexpr i64 kSizes[][2] = {{576, 1536}, {1536, 576},  {576, 576},   {576, 192},   {768, 3072},
                               {3072, 768}, {2048, 2048}, {2048, 8192}, {8192, 2048}, {576, 49152}};
  std::vector<Shape> shapes;
  for (const i64 M : {1, 8, 256, 1024, 2048}) {
    for (const auto& size : kSizes) {
      for (const char* op : {"NT", "NN", "TN"}) {
        if (M > 8 || std::string(op) != "TN") {
          shapes.push_back({op, M, size[0], size[1]});
        }
      }
    }
  }
  // Low-rank factors: t = x A^T, y += t B^T, dA = t^T x, dB = dy^T t, dx = t A.
  for (const i64 rank : {4, 8, 16, 64}) {
    shapes.push_back({"NT", 1024, 576, rank});
    shapes.push_back({"NT", 1024, rank, 576});
    shapes.push_back({"TN", rank, 1024, 576});
    shapes.push_back({"TN", 576, 1024, rank});
    shapes.push_back({"NN", 1024, rank, 576});
  }
  for (const auto format : {MatrixFormat::kBf16, MatrixFormat::kFourBit, MatrixFormat::kQ4_1,
                            MatrixFormat::kQ8_0, MatrixFormat::kQ4_K, MatrixFormat::kQ6_K}) {
    for (const i64 M : {1, 256, 512, 2048}) {
      shapes.push_back({"NT", M, 768, 3072, format});
      shapes.push_back({"NN", M, 3072, 768, format});
    }
  }
  // With operands rounded to bf16.
  for (const auto format : {MatrixFormat::kF32, MatrixFormat::kBf16, MatrixFormat::kFourBit}) {
    for (const i64 M : {256, 2048}) {
      for (const char* op : {"NT", "NN", "TN"}) {
        shapes.push_back({op, M, 576, 1536, format, GemmCompute::kBf16});
        shapes.push_back({op, M, 1536, 576, format, GemmCompute::kBf16});
        shapes.push_back({op, M, 576, 16, format, GemmCompute::kBf16});
      }
    }
  }
  return shapes;
}

bool chosen(const std::string& name, int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    if (name.find(argv[i]) == std::string::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  Operands pool;
  std::vector<Bench> benches;
  for (const Shape& shape : all_shapes()) {
    for (const int threads : {1, 2}) {
      if (chosen(name_of(shape) + " T" + std::to_string(threads), argc, argv)) {
        benches.emplace_back(shape, threads, pool);
      }
    }
  }
  for (int round = 0; round < rounds; ++round) {
    for (Bench& bench : benches) {
      bench.round();
    }
  }
  double peak = 1e9;
  for (const Bench& bench : benches) {
    peak = std::min(peak, bench.peak());
  }
  std::printf("one thread's peak: %.1f GFLOP/s\n", 1e-9 / peak);
  for (const Bench& bench : benches) {
    bench.print(peak);
  }
  return 0;
}
