// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "finetune/config/peft_config.h"
#include "finetune/row_source.h"
#include "nn/causal_lm.h"

namespace inlay {

/// One tensor of an adapter file: `key` is its name there without the leading "base_model.model.".
struct AdapterTensor {
  std::string key;
  Tensor value;  // the model's own parameter, f32
};

/// A module the adapter changes.
struct AdaptedModule {
  std::string path;
  i64 rows = 0, cols = 0;  // of its weight
  i64 rank = 0;            // 0: of a method without
  i64 parameters = 0;
  bool whole = false;  // trained as it is
};

/// The table of an embedding or head that is not trained whole. PEFT keeps it beside the factors
/// where it is adapted, and any other that it is told to.
struct BaseTable {
  std::string key;
  RowFunction rows;
  i64 count = 0, width = 0;
  bool saved = true;
};

/// What `inject_adapter` put into a model. The tensors belong to the model, which must outlive it.
struct Adapter {
  PeftConfig config;  // target_modules spelt out
  std::vector<AdapterTensor> tensors;
  std::vector<AdaptedModule> modules;
  std::vector<BaseTable> base_tables;
  bool fan_in_fan_out = false;  // some adapted weight lies [in, out]
  // Of a finished adapter: what its user should know, a sentence each; where it holds a value that
  // is not finite, and why a merged model could not compute the same ("" where it could).
  std::vector<std::string> notices;
  std::string not_finite, not_mergeable;

  i64 parameters() const;
};

struct InjectOptions {
  RandomKey key{0};               // the factors are drawn from it, by module
  double scale = 1.0;             // multiplies the update: the weight of one adapter among several
  std::string pointer = "/peft";  // where the config stands in its file, for errors
};

/// Gives every module the config means an update by the config's method, and makes what
/// modules_to_save names trainable as an f32 copy. Everything else in the model is frozen, adapters
/// injected before included. Throws ConfigError when a pattern matches nothing.
Adapter inject_adapter(CausalLM& model, const PeftConfig& config, const InjectOptions& options);

/// The modules as a table, layers of one kind in one row: module, shape, rank, count, parameters.
std::string adapter_table(const Adapter& adapter);

}  // namespace inlay
