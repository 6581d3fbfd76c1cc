// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace inlay {

/// True in a rehearsal (core/memory/planning.h): values are not computed, nor read from files.
bool planning();
/// For the rehearsal itself.
void set_planning(bool on);

}  // namespace inlay
