// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/types.h"

namespace inlay {

/// What this machine can do, measured: operations or bytes a second.
struct MachinePeak {
  int threads = 1;
  double f32_flops = 0.0;   // multiply-adds, two operations each, on registers
  double bf16_flops = 0.0;  // dot products of bf16 with f32 sums; 0 where there are none
  double int8_ops = 0.0;    // dot products of 8-bit integers; 0 where there are none
  double read_bytes = 0.0;  // summing memory that no cache holds
};

/// Measures for about a second with so many threads. Operations: the median of many short runs,
/// after a tenth of a second of the same; the clock of a processor depends on what it has been
/// doing, and on a shared one on what others do, so the best moment says little of what work can
/// reach. Bytes: the best of a few runs. For the reading it fills half a gigabyte, and gives it
/// back; the peak of the resident set keeps it, so read that before. num_threads() is what it was.
MachinePeak measure_machine(int threads);

}  // namespace inlay
