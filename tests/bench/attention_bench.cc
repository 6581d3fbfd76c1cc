// SPDX-License-Identifier: Apache-2.0

// Attention against the machine: useful GFLOP/s (pairs of a query and a key it sees; 4 D flops a
// pair and head forward, 10 D backward) beside the rate of a loop of multiply-adds that never
// leaves the registers. Times are the best of interleaved rounds, since other programs share the
// machine.
//
//   inlay_attention_bench [rounds] [portable|avx2|avx512|avx512-bf16|amx] [f32|bf16]
//                         [only cases whose name holds this] [no longer than this many keys]

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "core/kernels/attention.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/cpu/isa/peak.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/tensor/tensor.h"

namespace inlay {
namespace {

using kernels::AttentionParams;

/// Seconds a call: of this thread's processor time where it works alone, since other programs share
/// the machine; of the clock on the wall otherwise.
template <class Work>
double timed(int threads, i64 repeat, Work work) {
  const auto now = [&] {
    timespec t = {};
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  const double start = now();
  for (i64 i = 0; i < repeat; ++i) {
    work();
  }
  return (now() - start) / static_cast<double>(repeat);
}

/// Flops a second of the machine just now.
double peak_rate(int threads) {
  constexpr i64 kSteps = 25000;  // half a millisecond
  double flops = 0;
  const double seconds = timed(threads, 1, [&] {
    parallel_for(threads, [&](i64 task) {
      float sink = 0.0F;
      const double done = kernels::fma_loop(kSteps, &sink);
      flops = task == 0 ? done * threads : flops;
    });
  });
  return flops / seconds;
}

struct Case {
  const char* name;
  i64 B, Tq, Tk, heads, kv_heads, head_dim;
  i64 window = 0;
  float softcap = 0.0F, dropout = 0.0F;
  bool causal = true;
};

constexpr Case kCases[] = {
    {"9 over 3 heads", 32, 64, 64, 9, 3, 64},
    {"9 over 3 heads", 16, 128, 128, 9, 3, 64},
    {"9 over 3 heads", 4, 512, 512, 9, 3, 64},
    {"9 over 3 heads", 1, 2048, 2048, 9, 3, 64},
    {"9 over 3 heads", 1, 8192, 8192, 9, 3, 64},
    {"12 over 12", 16, 128, 128, 12, 12, 64},
    {"12 over 12", 4, 512, 512, 12, 12, 64},
    {"12 over 12", 1, 2048, 2048, 12, 12, 64},
    {"12 over 12", 1, 8192, 8192, 12, 12, 64},
    {"8 over 2 heads", 1, 2048, 2048, 8, 2, 128},
    {"4 over 1 heads", 1, 2048, 2048, 4, 1, 256},
    {"8 over 2 heads", 1, 2048, 2048, 8, 2, 80},
    {"window 512", 1, 8192, 8192, 9, 3, 64, 512},
    {"no mask", 1, 1024, 1024, 9, 3, 64, 0, 0.0F, 0.0F, false},
    {"softcap", 1, 2048, 2048, 9, 3, 64, 0, 30.0F},
    {"dropout 0.1", 1, 2048, 2048, 9, 3, 64, 0, 0.0F, 0.1F},
    {"short documents", 64, 77, 77, 9, 3, 64},
    {"decoding", 1, 1, 8192, 9, 3, 64},
};

double seen_pairs(const Case& c) {
  double pairs = 0;
  for (i64 t = 0; t < c.Tq; ++t) {
    const i64 position = t + c.Tk - c.Tq;
    const i64 end = c.causal ? position + 1 : c.Tk;
    const i64 begin = c.window > 0 ? std::max<i64>(0, position - c.window + 1) : 0;
    pairs += static_cast<double>(end - begin);
  }
  return pairs * static_cast<double>(c.B * c.heads * c.head_dim);
}

/// The best of many timings, and each one's share of the ceiling at that moment.
struct Record {
  double seconds = 1e30;
  std::vector<double> shares;

  void take(double s, double flops, double peak) {
    seconds = std::min(seconds, s);
    shares.push_back(peak > 0 ? 100 * flops / s / peak : 0.0);
  }
  double median_share() const {
    std::vector<double> sorted = shares;
    std::nth_element(sorted.begin(), sorted.begin() + sorted.size() / 2, sorted.end());
    return sorted[sorted.size() / 2];
  }
};

/// One case with its memory, laid out as a training step has it: rows of all heads.
class Bench {
 public:
  Bench(const Case& c, kernels::AttentionCompute compute) : c_(c) {
    const i64 q_width = c.heads * c.head_dim, k_width = c.kv_heads * c.head_dim;
    params_ = {.heads = c.heads,
               .kv_heads = c.kv_heads,
               .head_dim = c.head_dim,
               .q_stride = q_width,
               .k_stride = k_width,
               .v_stride = k_width,
               .o_stride = q_width,
               .scale = 1.0F / std::sqrt(static_cast<float>(c.head_dim)),
               .causal = c.causal,
               .window = c.window,
               .softcap = c.softcap,
               .dropout = c.dropout,
               .dropout_key = 1,
               .compute = compute};
    for (i64 b = 0; b < c.B; ++b) {
      segments_.push_back({b * c.Tq, c.Tq, b * c.Tk, c.Tk});
    }
    const Shape queries = {c.B * c.Tq, q_width}, keys = {c.B * c.Tk, k_width};
    q_ = normal(queries, 1);
    k_ = normal(keys, 2);
    v_ = normal(keys, 3);
    dO_ = normal(queries, 4);
    o_ = Tensor::zeros(queries);
    dq_ = Tensor::zeros(queries);
    dk_ = Tensor::zeros(keys);
    dv_ = Tensor::zeros(keys);
    lse_ = Tensor::zeros({c.heads, c.B * c.Tq});
  }

  /// Returns the best rate of the multiply-adds around the two calls.
  double round(int threads, int slot) {
    set_num_threads(threads);
    const i64 rows = c_.B * c_.Tq;
    scratch_ = Tensor::empty({std::max(attention_forward_scratch(params_, segments_),
                                       attention_backward_scratch(params_, segments_))});
    const kernels::AttentionForward forward_args = {q_.data<const float>(), k_.data<const float>(),
                                                    v_.data<const float>(), o_.data<float>(),
                                                    lse_.data<float>(),     rows};
    const kernels::AttentionBackward backward_args = {
        q_.data<const float>(),   k_.data<const float>(),
        v_.data<const float>(),   o_.data<const float>(),
        lse_.data<const float>(), dO_.data<const float>(),
        dq_.data<float>(),        dk_.data<float>(),
        dv_.data<float>(),        rows};
    // Small problems are repeated to a few milliseconds.
    const i64 repeat = 1 + static_cast<i64>(1e8 / forward_flops());
    const double before = peak_rate(threads);
    const double forward = timed(threads, repeat, [&] {
      attention_forward(params_, segments_, forward_args, scratch_.mutable_values());
    });
    const double between = peak_rate(threads);
    const double backward = timed(threads, repeat, [&] {
      attention_backward(params_, segments_, backward_args, scratch_.mutable_values());
    });
    const double after = peak_rate(threads);
    forward_[slot].take(forward, forward_flops(), (before + between) / 2);
    backward_[slot].take(backward, 2.5 * forward_flops(), (between + after) / 2);
    return std::max({before, between, after});
  }

  void print() const {
    std::printf("%-15s B %2ld T %4ld D %3ld", c_.name, c_.B, c_.Tk, c_.head_dim);
    for (int slot = 0; slot < 2; ++slot) {
      std::printf(" |");
      print(forward_[slot], forward_flops());
      print(backward_[slot], 2.5 * forward_flops());
    }
    std::printf("\n");
  }

 private:
  static Tensor normal(const Shape& shape, u64 key) {
    Tensor t = Tensor::empty(shape);
    fill_normal(t.mutable_values(), RandomKey(key), 0.0F, 1.0F);
    return t;
  }
  double forward_flops() const { return 4 * seen_pairs(c_); }
  static void print(const Record& record, double flops) {
    std::printf(" %8.3f ms %6.1f %3.0f %%", record.seconds * 1e3, 1e-9 * flops / record.seconds,
                record.median_share());
  }

  Case c_;
  AttentionParams params_;
  std::vector<Segment> segments_;
  Tensor q_, k_, v_, o_, lse_, dO_, dq_, dk_, dv_, scratch_;
  Record forward_[2], backward_[2];
};

int run(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 10;
  using kernels::Isa;
  for (const auto isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx}) {
    if (argc > 2 && isa_name(isa) == argv[2] && isa_supported(isa)) {
      set_isa(isa);
    }
  }
  const auto compute = argc > 3 && std::string(argv[3]) == "bf16" ? kernels::AttentionCompute::kBf16
                                                                  : kernels::AttentionCompute::kF32;
  std::vector<Bench> benches;
  for (const Case& c : kCases) {
    const bool named = argc <= 4 || std::string(c.name).find(argv[4]) != std::string::npos;
    if (named && (argc <= 5 || c.Tk <= std::atoi(argv[5]))) {
      benches.emplace_back(c, compute);
    }
  }
  double peak[2] = {};
  for (int round = 0; round < rounds; ++round) {
    for (Bench& bench : benches) {
      for (int slot = 0; slot < 2; ++slot) {
        peak[slot] = std::max(peak[slot], bench.round(slot + 1, slot));
      }
    }
  }
  std::printf(
      "%s, FMA peak %.1f / %.1f GFLOP/s with 1 / 2 threads; best of %d rounds; %% of the peak "
      "around each run, median\n",
      std::string(isa_name(kernels::active_isa())).c_str(), 1e-9 * peak[0], 1e-9 * peak[1], rounds);
  std::printf("%-33s | 1 thread: forward, GFLOP/s, backward, GFLOP/s     | 2 threads\n", "");
  for (const Bench& bench : benches) {
    bench.print();
  }
  return 0;
}

}  // namespace
}  // namespace inlay

int main(int argc, char** argv) {
  return inlay::run(argc, argv);
}
