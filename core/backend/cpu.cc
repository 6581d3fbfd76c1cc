// SPDX-License-Identifier: Apache-2.0

// The processor's backend: functions of core/kernels/cpu, and blocks of the process's memory.

#include <cstdlib>
#include <cstring>

#include "core/backend/backend.h"
#include "core/error.h"
#include "core/memory/block_cache.h"

namespace inlay {
namespace {

const Kernels kKernels = {
    .add = kernels::add,
    .multiply = kernels::multiply,
    .scale = kernels::scale,
    .add_in_place = kernels::add_in_place,
    .add_scaled = kernels::add_scaled,
    .scale_columns = kernels::scale_columns,
    .add_row = kernels::add_row,
    .column_sums = kernels::column_sums,
    .column_dots = kernels::column_dots,
    .scale_output = kernels::scale_output,
    .scale_output_bf16 = kernels::scale_output_bf16,
    .scale_output_backward = kernels::scale_output_backward,
    .scale_output_backward_bf16 = kernels::scale_output_backward_bf16,
    .dropout = kernels::dropout,
    .fill = kernels::fill,
    .fill_uniform = fill_uniform,
    .fill_normal = fill_normal,
    .mean = kernels::mean,
    .sum_of_squares = kernels::sum_of_squares,
    .count_not_finite = kernels::count_not_finite,

    .activation = kernels::activation,
    .activation_backward = kernels::activation_backward,
    .gated = kernels::gated,
    .gated_bf16 = kernels::gated_bf16,
    .gated_backward = kernels::gated_backward,
    .gated_backward_bf16 = kernels::gated_backward_bf16,

    .rms_norm = kernels::rms_norm,
    .rms_norm_with_rstd = kernels::rms_norm_with_rstd,
    .rms_norm_backward = kernels::rms_norm_backward,
    .rms_norm_backward_weight = kernels::rms_norm_backward_weight,
    .layer_norm = kernels::layer_norm,
    .layer_norm_with_statistics = kernels::layer_norm_with_statistics,
    .layer_norm_backward = kernels::layer_norm_backward,
    .layer_norm_backward_weight = kernels::layer_norm_backward_weight,
    .rope = kernels::rope,
    .softmax = kernels::softmax,
    .softmax_backward = kernels::softmax_backward,
    .cross_entropy = kernels::cross_entropy,
    .cross_entropy_in_place = kernels::cross_entropy_in_place,
    .cross_entropy_to_bf16 = kernels::cross_entropy_to_bf16,

    .embedding = kernels::embedding,
    .embedding_backward = kernels::embedding_backward,
    .gather_rows = kernels::gather_rows,
    .gather_columns = kernels::gather_columns,
    .gather_columns_backward = kernels::gather_columns_backward,
    .copy_strided = kernels::copy_strided,
    .zero = kernels::zero,

    .bf16_to_f32 = kernels::bf16_to_f32,
    .f16_to_f32 = kernels::f16_to_f32,
    .f32_to_bf16 = kernels::f32_to_bf16,
    .f32_to_f16 = kernels::f32_to_f16,
    .decode_rows = kernels::decode_rows,
    .quantize_four_bit = kernels::quantize_four_bit,
    .quantize_absmax = kernels::quantize_absmax,

    .has_bf16_products = kernels::has_bf16_products,
    .has_bf16_operands = kernels::has_bf16_operands,
    .panels_floats = kernels::panels_floats,
    .pack_panels = kernels::pack_panels,
    .gemm_together_scratch = kernels::gemm_together_scratch,
    .gemm_together = kernels::gemm_together,
    .gemm_low_rank_scratch = kernels::gemm_low_rank_scratch,
    .gemm_low_rank = kernels::gemm_low_rank,
    .draw_kept = kernels::draw_kept,
    .dropped_products = kernels::dropped_products,
    .dropped_gradients_scratch = kernels::dropped_gradients_scratch,
    .dropped_gradients = kernels::dropped_gradients,

    .attention_forward_scratch = kernels::attention_forward_scratch,
    .attention_forward = kernels::attention_forward,
    .attention_backward_scratch = kernels::attention_backward_scratch,
    .attention_backward = kernels::attention_backward,
    .reference_attention_scratch = kernels::reference::attention_scratch,
    .reference_attention_forward = kernels::reference::attention_forward<float>,
    .reference_attention_backward = kernels::reference::attention_backward<float>,

    .write_rows = kernels::write_rows,

    .softcap = kernels::softcap,

    .softcap_backward = kernels::softcap_backward,

    .scale_by = kernels::scale_by,

    .scale_by_bf16 = kernels::scale_by_bf16,

    .sum = kernels::sum,

    .sum_of_losses = kernels::sum_of_losses,

    .row_squares = kernels::row_squares,

    .inverse_row_norms = kernels::inverse_row_norms,

    .reciprocal = kernels::reciprocal,

    .add_column_squares = kernels::add_column_squares,

    .over_lengths = kernels::over_lengths,

    .scale_rows = kernels::scale_rows,

    .adamw = kernels::adamw,
    .adamw_8bit = kernels::adamw_8bit,
};

class CpuBackend final : public Backend {
 public:
  CpuBackend() : Backend("cpu", kKernels), cache_(BlockCache::Kind::kMemory) {}

#if defined(__SANITIZE_ADDRESS__)
  // Under the address sanitizer every block is its own, so that a step over its end is seen.
  std::byte* allocate(i64 bytes) override {
    constexpr i64 kAlignment = 64;
    void* block = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    if (block == nullptr) {
      throw MemoryError(str("out of memory: the system refuses ", bytes, " bytes"));
    }
    return static_cast<std::byte*>(block);
  }
  void release(std::byte* block, i64 /*bytes*/) noexcept override {
    std::free(block);
  }
  i64 reserved() const override {
    return 0;
  }
#else
  std::byte* allocate(i64 bytes) override {
    return cache_.allocate(bytes);
  }
  void release(std::byte* block, i64 bytes) noexcept override {
    cache_.free(block, bytes);
  }
  i64 reserved() const override {
    return cache_.reserved();
  }
#endif

  bool host_may_touch() const override {
    return true;
  }
  bool reads_host_bytes() const override {
    return true;
  }
  void copy_in(std::byte* to, std::span<const std::byte> from) override {
    std::memcpy(to, from.data(), from.size());
  }
  void copy_out(std::span<std::byte> to, const std::byte* from) override {
    std::memcpy(to.data(), from, to.size());
  }
  void synchronise() override {}  // kernels return when they are done

 private:
  BlockCache cache_;
};

}  // namespace

Backend& cpu_backend() {
  // Never destroyed: tensors with static lifetime may be freed after it would be.
  static auto* backend = new CpuBackend;
  return *backend;
}

}  // namespace inlay
