// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/attention.h"
#include "core/kernels/clamp.h"
#include "core/kernels/convert.h"
#include "core/kernels/dropped_input.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/embedding.h"
#include "core/kernels/experts.h"
#include "core/kernels/four_bit.h"
#include "core/kernels/gemm.h"
#include "core/kernels/lengths.h"
#include "core/kernels/matrix.h"
#include "core/kernels/norm.h"
#include "core/kernels/norm_rope.h"
#include "core/kernels/output_scale.h"
#include "core/kernels/rope.h"
#include "core/kernels/rows.h"
#include "core/kernels/softcap.h"
#include "core/kernels/softmax.h"
#include "core/random.h"

namespace inlay {

/// What an operation may ask of a device: the entries that kernels.inc lists. Each is described
/// where its function is declared (core/kernels). Addresses and spans are of the device's own
/// memory, but those of argument structs and of lists of such structs, which are the host's.
///
/// Two kinds:
///   * work gives nothing back, so that it may be queued, or counted and not done;
///   * questions give something back, depend on sizes and not on values, and are answered at once.
struct Kernels {
// NOLINTNEXTLINE(bugprone-macro-parentheses): names stand in no parentheses
#define INLAY_KERNEL(entry, declared) decltype(&declared) entry;
#include "core/backend/kernels.inc"
#undef INLAY_KERNEL
};

/// A table whose entries are Form<&Kernels::entry>::function: another device around one that is
/// there, say.
template <template <auto entry> class Form>
Kernels kernels_made_of() {
  Kernels table{};
#define INLAY_KERNEL(entry, declared) table.entry = Form<&Kernels::entry>::function;
#include "core/backend/kernels.inc"
#undef INLAY_KERNEL
  return table;
}

}  // namespace inlay
