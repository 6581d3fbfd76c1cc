// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/onednn_bench.h"

#include <omp.h>

#include <cmath>
#include <dnnl.hpp>
#include <unordered_map>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"

namespace inlay {
namespace {

using dnnl::memory;

constexpr i64 kCheckedColumns = 16;

// A row-major matrix, or the transpose of one, that is rows x columns when read.
struct Side {
  i64 rows, columns;
  bool transposed;

  memory::dims strides() const {
    return transposed ? memory::dims{1, rows} : memory::dims{columns, 1};
  }
  i64 at(i64 row, i64 column) const {
    return transposed ? column * rows + row : row * columns + column;
  }
};

memory::data_type onednn_type(DType type) {
  return type == DType::kBf16 ? memory::data_type::bf16 : memory::data_type::f32;
}

Tensor random_matrix(const Side& side, u64 key, DType type) {
  Tensor t = Tensor::empty({side.rows * side.columns});
  fill_normal(t.mutable_values(), RandomKey(key), 0.0F, 1.0F);
  return t.to(type);
}

void* address(const Tensor& t) {
  return t.dtype() == DType::kBf16 ? static_cast<void*>(t.data<u16>()) : t.data<float>();
}

class Product {
 public:
  // Throws dnnl::error where there is no kernel.
  Product(const Side& a, const Side& b, DType operands, DType result)
      : a_side_(a),
        b_side_(b),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        a_(random_matrix(a, 1, operands)),
        b_(random_matrix(b, 2, operands)),
        c_(Tensor::empty({a.rows * b.columns}, result)) {
    const memory::desc a_desc({a.rows, a.columns}, onednn_type(operands), a.strides());
    const memory::desc b_desc({b.rows, b.columns}, onednn_type(operands), b.strides());
    const memory::desc c_desc({a.rows, b.columns}, onednn_type(result), memory::dims{b.columns, 1});
    matmul_ = dnnl::matmul({dnnl::matmul::desc(a_desc, b_desc, c_desc), engine_});
    arguments_ = {{DNNL_ARG_SRC, {a_desc, engine_, address(a_)}},
                  {DNNL_ARG_WEIGHTS, {b_desc, engine_, address(b_)}},
                  {DNNL_ARG_DST, {c_desc, engine_, address(c_)}}};
  }

  void run() {
    matmul_.execute(stream_, arguments_);
    stream_.wait();
  }

  // The last row's first columns, against sums in double.
  void check() const {
    const Tensor a = a_.to(DType::kF32), b = b_.to(DType::kF32), c = c_.to(DType::kF32);
    const i64 row = a_side_.rows - 1;
    for (i64 j = 0; j < std::min(kCheckedColumns, b_side_.columns); ++j) {
      double sum = 0.0, magnitude = 0.0;
      for (i64 k = 0; k < a_side_.columns; ++k) {
        const double term = static_cast<double>(a.data<const float>()[a_side_.at(row, k)]) *
                            static_cast<double>(b.data<const float>()[b_side_.at(k, j)]);
        sum += term;
        magnitude += std::abs(term);
      }
      const double found = c.data<const float>()[row * b_side_.columns + j];
      // A result in bf16 is off by 2^-9 of itself, sums in f32 by far less of their terms.
      if (std::abs(found - sum) > magnitude * 0x1p-16 + std::abs(sum) * 0x1p-8) {
        throw VerificationError(str("oneDNN's product: expected ", sum, ", found ", found));
      }
    }
  }

 private:
  Side a_side_, b_side_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  Tensor a_, b_, c_;
  dnnl::matmul matmul_;
  std::unordered_map<int, memory> arguments_;
};

}  // namespace

std::vector<KernelTiming> bench_onednn(const GemmSizes& s, i64 steps) {
  std::vector<KernelTiming> out;
  if (s.compute == GemmCompute::kInt8 || s.format.quantised != nullptr) {
    return out;
  }
  omp_set_num_threads(num_threads());
  const DType operands = s.compute == GemmCompute::kBf16 ? DType::kBf16 : DType::kF32;
  const DType result = s.bf16_values ? DType::kBf16 : DType::kF32;
  const double flops = 2.0 * static_cast<double>(s.rows * s.inner) * static_cast<double>(s.columns);
  const auto time = [&](const char* name, const Side& a, const Side& b) {
    try {
      Product product(a, b, operands, result);
      const Timing timing = time_calls(steps, [&] { product.run(); });
      product.check();
      out.push_back({name, timing, flops, 0.0});
    } catch (const dnnl::error& error) {
      if (error.status != dnnl_unimplemented) {
        throw;
      }
    }
  };
  time("onednn_product", {s.rows, s.inner, false}, {s.inner, s.columns, true});
  time("onednn_input_gradient", {s.rows, s.columns, false}, {s.columns, s.inner, false});
  time("onednn_weight_gradient", {s.columns, s.rows, true}, {s.rows, s.inner, false});
  return out;
}

}  // namespace inlay
