// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/types.h"

namespace inlay {

/// What this machine can do at best, measured: operations or bytes a second.
struct MachinePeak {
  int threads = 1;
  double f32_flops = 0.0;   // multiply-adds, two operations each, on registers
  double bf16_flops = 0.0;  // dot products of bf16 with f32 sums; 0 where there are none
  double int8_ops = 0.0;    // dot products of 8-bit integers; 0 where there are none
  double read_bytes = 0.0;  // summing memory that no cache holds
};

/// Measures for about half a second with so many threads: the best of many short runs, since other
/// programs may share the machine. For the reading it fills half a gigabyte, and gives it back; the
/// peak of the resident set keeps it, so read that before. num_threads() is what it was.
MachinePeak measure_machine(int threads);

}  // namespace inlay
