// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/document.h"
#include "core/config/reader.h"
#include "core/io/file_system.h"
#include "core/random.h"
#include "data/example.h"
#include "finetune/config/check.h"
#include "finetune/hf_export.h"
#include "finetune/loaded_model.h"

/// Models small enough to make and throw away, with weights large enough that everything in them
/// matters.
namespace inlay {

/// Llama's keys; `changes` are set on top.
inline nlohmann::ordered_json tiny_llama(const nlohmann::ordered_json& changes = {}) {
  nlohmann::ordered_json json = {{"model_type", "llama"},     {"vocab_size", 29},
                                 {"hidden_size", 12},         {"intermediate_size", 20},
                                 {"num_hidden_layers", 2},    {"num_attention_heads", 2},
                                 {"num_key_value_heads", 1},  {"head_dim", 6},
                                 {"initializer_range", 0.25}, {"tie_word_embeddings", true}};
  if (!changes.is_null()) {
    json.update(changes);
  }
  return json;
}

/// GPT-2's keys, without dropout.
inline nlohmann::ordered_json tiny_gpt2(const nlohmann::ordered_json& changes = {}) {
  nlohmann::ordered_json json = {
      {"model_type", "gpt2"}, {"vocab_size", 29},         {"n_embd", 12},      {"n_layer", 2},
      {"n_head", 2},          {"n_positions", 64},        {"attn_pdrop", 0.0}, {"resid_pdrop", 0.0},
      {"embd_pdrop", 0.0},    {"initializer_range", 0.25}};
  if (!changes.is_null()) {
    json.update(changes);
  }
  return json;
}

struct TinyModelOptions {
  bool trainable = false;
  bool quantize = false;
  u64 seed = 42;
};

inline LoadedModel make_tiny(const nlohmann::ordered_json& config,
                             const TinyModelOptions& options = {}) {
  LoadOptions load;
  load.model.config.json = std::make_shared<const nlohmann::ordered_json>(config);
  load.trainable = options.trainable;
  load.seed = options.seed;
  if (options.quantize) {
    load.quantization = QuantizationConfig();
  }
  return load_model(load);
}

/// The model as a Hugging Face folder at `path`.
inline void write_tiny(const std::string& path, const nlohmann::ordered_json& config,
                       DType dtype = DType::kF32, u64 seed = 42) {
  LoadedModel model = make_tiny(config, {.seed = seed});
  make_directories(path);
  write_hf_files(path, model, dtype);
}

inline PeftConfig peft_config(const nlohmann::ordered_json& json) {
  const ConfigDocument document = ConfigDocument::single(json, {"peft", ""});
  PeftConfig config = read_config<PeftConfig>(document);
  Problems problems(document);
  check(config, "", problems);
  problems.throw_if_any();
  return config;
}

/// `length` tokens of a vocabulary of `vocab` ids.
inline std::vector<i32> random_ids(i64 length, i64 vocab, u64 seed) {
  std::vector<i32> ids;
  for (i64 t = 0; t < length; ++t) {
    ids.push_back(static_cast<i32>(
        random_below(RandomKey(seed).with("ids"), static_cast<u64>(t), static_cast<u64>(vocab))));
  }
  return ids;
}

/// Sequences of the given lengths, every third token not trained on.
inline std::vector<Example> random_examples(const std::vector<i64>& lengths, i64 vocab) {
  std::vector<Example> out;
  for (std::size_t s = 0; s < lengths.size(); ++s) {
    Example example;
    example.ids = random_ids(lengths[s], vocab, 100 + s);
    example.labels = example.ids;
    for (std::size_t t = 0; t < example.labels.size(); t += 3) {
      example.labels[t] = kIgnoreLabel;
    }
    out.push_back(std::move(example));
  }
  return out;
}

}  // namespace inlay
