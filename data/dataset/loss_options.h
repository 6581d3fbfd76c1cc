// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>

#include "core/config/choice.h"

namespace inlay {

/// Which thoughts in an assistant's message are learnt with it (data/template/thinking.h).
enum class TrainThinking {
  kAll,  // all that is in the text
  kOwn,  // those of the rows, not the empty ones that a template writes by itself
  kNone,
};

template <>
struct ChoicesOf<TrainThinking> {
  static std::span<const Choice<TrainThinking>> all();
};

/// Which parts of a row are learnt; null: what its columns suggest.
struct LossOptions {
  std::optional<bool> completion_only = {};
  std::optional<bool> assistant_only = {};
  TrainThinking thinking = TrainThinking::kAll;
};

}  // namespace inlay
