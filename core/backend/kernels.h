// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/convert.h"
#include "core/kernels/dropped_input.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/embedding.h"
#include "core/kernels/four_bit.h"
#include "core/kernels/gemm.h"
#include "core/kernels/lengths.h"
#include "core/kernels/matrix.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "core/kernels/rows.h"
#include "core/kernels/softcap.h"
#include "core/kernels/softmax.h"
#include "core/random.h"

namespace inlay {

/// What an operation may ask of a device. Each entry is described where its function is declared
/// (core/kernels); addresses and spans are of the device's own memory, but those of argument
/// structs and of lists of such structs, which are the host's.
///
/// Two kinds:
///   * work gives nothing back, so that it may be queued, or counted and not done;
///   * questions give something back, depend on sizes and not on values, and are answered at once.
struct Kernels {
  // Elementwise, and sums over rows.
  decltype(&kernels::add) add;
  decltype(&kernels::multiply) multiply;
  decltype(&kernels::scale) scale;
  decltype(&kernels::add_in_place) add_in_place;
  decltype(&kernels::add_scaled) add_scaled;
  decltype(&kernels::scale_columns) scale_columns;
  decltype(&kernels::add_row) add_row;
  decltype(&kernels::column_sums) column_sums;
  decltype(&kernels::column_dots) column_dots;
  decltype(&kernels::scale_output) scale_output;
  decltype(&kernels::scale_output_bf16) scale_output_bf16;
  decltype(&kernels::scale_output_backward) scale_output_backward;
  decltype(&kernels::scale_output_backward_bf16) scale_output_backward_bf16;
  decltype(&kernels::dropout) dropout;
  decltype(&kernels::fill) fill;
  decltype(&inlay::fill_uniform) fill_uniform;
  decltype(&inlay::fill_normal) fill_normal;
  decltype(&kernels::mean) mean;
  decltype(&kernels::sum_of_squares) sum_of_squares;
  decltype(&kernels::count_not_finite) count_not_finite;

  // Activations.
  decltype(&kernels::activation) activation;
  decltype(&kernels::activation_backward) activation_backward;
  decltype(&kernels::gated) gated;
  decltype(&kernels::gated_bf16) gated_bf16;
  decltype(&kernels::gated_backward) gated_backward;
  decltype(&kernels::gated_backward_bf16) gated_backward_bf16;

  // Norms, rotary positions, softmax and the loss on it.
  decltype(&kernels::rms_norm) rms_norm;
  decltype(&kernels::rms_norm_with_rstd) rms_norm_with_rstd;
  decltype(&kernels::rms_norm_backward) rms_norm_backward;
  decltype(&kernels::rms_norm_backward_weight) rms_norm_backward_weight;
  decltype(&kernels::layer_norm) layer_norm;
  decltype(&kernels::layer_norm_with_statistics) layer_norm_with_statistics;
  decltype(&kernels::layer_norm_backward) layer_norm_backward;
  decltype(&kernels::layer_norm_backward_weight) layer_norm_backward_weight;
  decltype(&kernels::rope) rope;
  decltype(&kernels::softmax) softmax;
  decltype(&kernels::softmax_backward) softmax_backward;
  decltype(&kernels::cross_entropy) cross_entropy;
  decltype(&kernels::cross_entropy_in_place) cross_entropy_in_place;
  decltype(&kernels::cross_entropy_to_bf16) cross_entropy_to_bf16;

  // Rows and columns moved about.
  decltype(&kernels::embedding) embedding;
  decltype(&kernels::embedding_backward) embedding_backward;
  decltype(&kernels::gather_rows) gather_rows;
  decltype(&kernels::gather_columns) gather_columns;
  decltype(&kernels::gather_columns_backward) gather_columns_backward;
  decltype(&kernels::copy_strided) copy_strided;
  decltype(&kernels::zero) zero;

  // Element types and stored matrices.
  decltype(&kernels::bf16_to_f32) bf16_to_f32;
  decltype(&kernels::f16_to_f32) f16_to_f32;
  decltype(&kernels::f32_to_bf16) f32_to_bf16;
  decltype(&kernels::f32_to_f16) f32_to_f16;
  decltype(&kernels::decode_rows) decode_rows;
  decltype(&kernels::quantize_four_bit) quantize_four_bit;
  decltype(&kernels::quantize_absmax) quantize_absmax;

  // Products.
  decltype(&kernels::has_bf16_products) has_bf16_products;
  decltype(&kernels::has_bf16_operands) has_bf16_operands;
  decltype(&kernels::panels_floats) panels_floats;
  decltype(&kernels::pack_panels) pack_panels;
  decltype(&kernels::gemm_together_scratch) gemm_together_scratch;
  decltype(&kernels::gemm_together) gemm_together;
  decltype(&kernels::gemm_low_rank_scratch) gemm_low_rank_scratch;
  decltype(&kernels::gemm_low_rank) gemm_low_rank;
  decltype(&kernels::draw_kept) draw_kept;
  decltype(&kernels::dropped_products) dropped_products;
  decltype(&kernels::dropped_gradients_scratch) dropped_gradients_scratch;
  decltype(&kernels::dropped_gradients) dropped_gradients;

  // Attention: the tiled form, and the naive one.
  decltype(&kernels::attention_forward_scratch) attention_forward_scratch;
  decltype(&kernels::attention_forward) attention_forward;
  decltype(&kernels::attention_backward_scratch) attention_backward_scratch;
  decltype(&kernels::attention_backward) attention_backward;
  decltype(&kernels::reference::attention_scratch) reference_attention_scratch;
  decltype(&kernels::reference::attention_forward<float>) reference_attention_forward;
  decltype(&kernels::reference::attention_backward<float>) reference_attention_backward;

  decltype(&kernels::write_rows) write_rows;

  decltype(&kernels::softcap) softcap;

  decltype(&kernels::softcap_backward) softcap_backward;

  decltype(&kernels::scale_by) scale_by;

  decltype(&kernels::scale_by_bf16) scale_by_bf16;

  decltype(&kernels::sum) sum;

  decltype(&kernels::sum_of_losses) sum_of_losses;

  decltype(&kernels::row_squares) row_squares;

  decltype(&kernels::inverse_row_norms) inverse_row_norms;

  decltype(&kernels::reciprocal) reciprocal;

  decltype(&kernels::add_column_squares) add_column_squares;

  decltype(&kernels::over_lengths) over_lengths;

  decltype(&kernels::scale_rows) scale_rows;

  // Optimizers.
  decltype(&kernels::adamw) adamw;
  decltype(&kernels::adamw_8bit) adamw_8bit;
};

/// Members of Kernels. A table can be made of what a template says to each of them: another device
/// around this one, say.
template <auto... members>
struct KernelList {
  static constexpr std::size_t kCount = sizeof...(members);

  /// Form<member>::function for every member.
  template <template <auto member> class Form>
  static Kernels made_of() {
    Kernels table{};
    ((table.*members = Form<members>::function), ...);
    return table;
  }
};

// clang-format off
using AllKernels = KernelList<
    &Kernels::add,
    &Kernels::multiply,
    &Kernels::scale,
    &Kernels::add_in_place,
    &Kernels::add_scaled,
    &Kernels::scale_columns,
    &Kernels::add_row,
    &Kernels::column_sums,
    &Kernels::column_dots,
    &Kernels::scale_output,
    &Kernels::scale_output_bf16,
    &Kernels::scale_output_backward,
    &Kernels::scale_output_backward_bf16,
    &Kernels::dropout,
    &Kernels::fill,
    &Kernels::fill_uniform,
    &Kernels::fill_normal,
    &Kernels::mean,
    &Kernels::sum_of_squares,
    &Kernels::count_not_finite,
    &Kernels::activation,
    &Kernels::activation_backward,
    &Kernels::gated,
    &Kernels::gated_bf16,
    &Kernels::gated_backward,
    &Kernels::gated_backward_bf16,
    &Kernels::rms_norm,
    &Kernels::rms_norm_with_rstd,
    &Kernels::rms_norm_backward,
    &Kernels::rms_norm_backward_weight,
    &Kernels::layer_norm,
    &Kernels::layer_norm_with_statistics,
    &Kernels::layer_norm_backward,
    &Kernels::layer_norm_backward_weight,
    &Kernels::rope,
    &Kernels::softmax,
    &Kernels::softmax_backward,
    &Kernels::cross_entropy,
    &Kernels::cross_entropy_in_place,
    &Kernels::cross_entropy_to_bf16,
    &Kernels::embedding,
    &Kernels::embedding_backward,
    &Kernels::gather_rows,
    &Kernels::gather_columns,
    &Kernels::gather_columns_backward,
    &Kernels::copy_strided,
    &Kernels::zero,
    &Kernels::bf16_to_f32,
    &Kernels::f16_to_f32,
    &Kernels::f32_to_bf16,
    &Kernels::f32_to_f16,
    &Kernels::decode_rows,
    &Kernels::quantize_four_bit,
    &Kernels::quantize_absmax,
    &Kernels::has_bf16_products,
    &Kernels::has_bf16_operands,
    &Kernels::panels_floats,
    &Kernels::pack_panels,
    &Kernels::gemm_together_scratch,
    &Kernels::gemm_together,
    &Kernels::gemm_low_rank_scratch,
    &Kernels::gemm_low_rank,
    &Kernels::draw_kept,
    &Kernels::dropped_products,
    &Kernels::dropped_gradients_scratch,
    &Kernels::dropped_gradients,
    &Kernels::attention_forward_scratch,
    &Kernels::attention_forward,
    &Kernels::attention_backward_scratch,
    &Kernels::attention_backward,
    &Kernels::reference_attention_scratch,
    &Kernels::reference_attention_forward,
    &Kernels::reference_attention_backward,
    &Kernels::write_rows,
    &Kernels::softcap,
    &Kernels::softcap_backward,
    &Kernels::scale_by,
    &Kernels::scale_by_bf16,
    &Kernels::sum,
    &Kernels::sum_of_losses,
    &Kernels::row_squares,
    &Kernels::inverse_row_norms,
    &Kernels::reciprocal,
    &Kernels::add_column_squares,
    &Kernels::over_lengths,
    &Kernels::scale_rows,
    &Kernels::adamw,
    &Kernels::adamw_8bit>;
// clang-format on
static_assert(sizeof(Kernels) == AllKernels::kCount * sizeof(void (*)()),
              "an entry of Kernels is missing in AllKernels");

}  // namespace inlay
