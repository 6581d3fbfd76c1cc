// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/dataset/remark.h"
#include "data/example.h"
#include "data/tokenizer/tokenizer.h"

namespace inlay {

/// Watches whether rows teach a model to stop: whether what is learnt ends with a control token,
/// such as the end of a turn. Templates with {% generation %} blocks around the content alone do
/// not, nor do completions without an eos; the model then talks on.
class StopCheck {
 public:
  /// The tokenizer must outlive this.
  explicit StopCheck(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add(const Example& example);
  /// A sentence, where there is something to say; `add_eos` is what the rows were read with.
  std::optional<std::string> note(bool add_eos) const;

 private:
  bool is_stop(i32 id) const;

  const Tokenizer& tokenizer_;
  i64 rows_ = 0;
  i64 learning_ = 0;  // rows in which something learnt ends with a stop
  Remark unlearnt_;   // rows in which one follows what is learnt
};

}  // namespace inlay
