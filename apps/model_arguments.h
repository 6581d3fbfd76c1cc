// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "apps/arguments.h"
#include "core/io/replaced_input.h"
#include "finetune/loaded_model.h"

namespace inlay {

/// The options of every command that runs a model.
struct ModelArguments {
  std::string model;
  std::vector<std::string> adapters;  // "DIR" or "DIR@SCALE"
  std::string tokenizer;
  std::string rope_scaling;  // JSON
  std::string chat_template;
  std::string chat_variables;  // JSON
  std::string date;
  AutoOr<DType> dtype;
  AttentionKind attention = AttentionKind::kTiled;
  i64 threads = 0;  // 0: all

  /// `many_adapters`: --adapter may be given several times, with scales.
  void declare(Arguments& arguments, bool many_adapters);
  /// The options of those that render a chat template.
  void declare_chat_template(Arguments& arguments);
  /// Loads the model with its adapters and sets the number of threads. Notices go to stderr.
  LoadedModel load() const;
  /// The variables for the chat template, a dict, or none.
  jinja::Value template_variables() const;
  /// The files and folders that load() reads.
  std::vector<CommandInput> inputs() const;
};

}  // namespace inlay
