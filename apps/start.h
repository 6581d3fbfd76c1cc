// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/parallel.h"

/// What the command does before anything else, for a system that gives it less than usual: streams
/// that are closed, small stacks, limits.
namespace inlay {

/// Opens what is closed among the descriptors 0, 1 and 2, so that no file of ours becomes a
/// standard stream. Reading such a stdin and writing such a stdout fail, as on a closed one; what
/// goes to such a stderr is dropped. Before anything is opened.
void open_standard_streams();

/// Where addresses are limited (ulimit -v), leaves more of them to the model.
void spare_addresses();

/// Runs the program's body, on a thread with a stack of its own where the main one is too small
/// (ulimit -s), and returns what it returns.
int on_enough_stack(FunctionRef<int()> body);

}  // namespace inlay
