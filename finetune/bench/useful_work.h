// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/causal_lm.h"

namespace inlay {

/// The floating-point operations that a token of a sequence of T tokens needs, a multiply-add being
/// two. Only products with weights and attention's are counted (for causal attention the pairs that
/// are seen), and nothing that a program might do besides:
///
///   N = parameters in products: blocks and head; the embedding's look-up is free, and of experts
///       only those count that a token goes through
///   a = 2 L (T + 1) H d: attention forward, L layers of H heads of size d, (T + 1) / 2 keys each
///       query
///
///   forward       2 N + a
///   training      2 N + 2 N (gradient of the inputs) + 2 N_trained (of the weights) + 6 N_lora
///                 + 3.5 a (attention's backward is five products to the forward's two)
///   so LoRA       4 N + 6 N_lora + 3.5 a
///   and full      6 N + 3.5 a
struct UsefulWork {
  i64 parameters = 0;          // N
  i64 trained_parameters = 0;  // those of N that are trained whole
  i64 lora_parameters = 0;     // N_lora
  double attention = 0.0;      // a

  double forward() const { return 2.0 * static_cast<double>(parameters) + attention; }
  double training() const {
    return 4.0 * static_cast<double>(parameters) + 2.0 * static_cast<double>(trained_parameters) +
           6.0 * static_cast<double>(lora_parameters) + 3.5 * attention;
  }
};

UsefulWork useful_work(CausalLM& model, i64 T);

}  // namespace inlay
