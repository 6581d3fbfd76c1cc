// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/template/chat_template.h"
#include "data/tokenizer/tokenizer.h"
#include "finetune/config/run_config.h"
#include "nn/causal_lm.h"
#include "quant/checkpoint.h"

namespace inlay {

struct LoadOptions {
  ModelConfig model;
  std::optional<QuantizationConfig> quantization;
  bool trainable = false;       // every weight an f32 leaf: full training
  u64 seed = 42;                // for random weights
  bool require_finite = false;  // read every weight, and refuse a NaN or an infinity
};

/// A model with what belongs to it.
struct LoadedModel {
  std::string name;                        // the folder, file or model_type it came from
  std::unique_ptr<Checkpoint> checkpoint;  // null when made from a config alone
  std::optional<HfConfig> config;          // always set
  std::unique_ptr<CausalLM> model;         // null until load_weights
  ModelSizes sizes;                        // of `model`, even when it is gone
  std::optional<Tokenizer> tokenizer;
  std::string tokenizer_directory;  // that its files are in; "" for bytes or a GGUF file's
  std::vector<i32> own_stop_ids;    // what the model's files say besides its tokenizer
  std::optional<ChatTemplate> chat_template;
  CivilTime now;                     // the date for chat templates that print one
  std::vector<std::string> notices;  // odd but harmless: one sentence each

  /// Ids that end a generation: the tokenizer's and the model's own.
  std::vector<i32> stop_ids() const;
  /// Throws DataError for a token the model has no row for: a tokenizer may have more of them.
  void require_rows(std::span<const i32> ids) const;
  /// Throws ConfigError when there is none; `what_for` completes "… needs a tokenizer".
  const Tokenizer& require_tokenizer(const std::string& what_for) const;
};

/// Loads weights, settings, tokenizer and chat template. Throws ConfigError, IoError, DataError.
LoadedModel load_model(const LoadOptions& options);

/// Its two parts: everything but the weights, and the weights (anew, where there are some).
LoadedModel open_model(const LoadOptions& options);
void load_weights(const LoadOptions& options, LoadedModel& loaded);

}  // namespace inlay
