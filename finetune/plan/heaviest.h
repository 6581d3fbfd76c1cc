// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "data/batch_schedule.h"
#include "data/example.h"

namespace inlay {

/// Steps to rehearse in place of a whole run's: the batches of each, by rows. Among them are the
/// batches with the most tokens (what a block keeps) and with the most trained tokens (what the
/// head keeps), alone or, where gradients of an earlier batch of the step would be there already,
/// behind one. Before them stands how the run begins, since the places that blocks of memory take
/// in its first steps decide how much room later ones find.
///
/// All batches of `steps` steps are looked at, up to some millions of rows; of later ones the worst
/// is assumed, the longest rows together.
std::vector<std::vector<std::vector<i64>>> heaviest_steps(const BatchSchedule& schedule, i64 steps,
                                                          std::span<const Example> rows);

/// The first of the `batch_size` rows in file order that make the heaviest evaluation batch.
i64 heaviest_evaluation(std::span<const Example> rows, i64 batch_size);

}  // namespace inlay
