// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "core/types.h"
#include "data/dataset/dataset.h"
#include "finetune/config/peft_config.h"
#include "finetune/config/words.h"
#include "quant/four_bit.h"

/// The file of a run, section by section. Keys, defaults and ranges stand in the `fields` functions
/// of run_config.cc and nowhere else; what must hold between fields, and reading a file with all of
/// it, is in check.h.
namespace inlay {

struct ModelConfig {
  std::optional<std::string> model_name_or_path;
  FreeObject config;
  std::optional<std::string> tokenizer;
  std::string chat_template = "auto";
  std::optional<std::string> template_date;
  AutoOr<DType> dtype;
  AttentionKind attn_implementation = AttentionKind::kTiled;
  FreeObject rope_scaling;
  void fields(FieldVisitor& v);
};

struct QuantizationConfig {
  bool load_in_4bit = true;
  FourBitType bnb_4bit_quant_type = FourBitType::kNf4;
  bool bnb_4bit_use_double_quant = true;
  i64 bnb_4bit_blocksize = 64;
  AutoOr<GemmCompute> bnb_4bit_compute_dtype;
  std::vector<std::string> skip_modules = {"lm_head"};
  void fields(FieldVisitor& v);
};

struct DataConfig {
  std::optional<std::string> train;
  std::optional<std::string> validation;
  AutoOr<const RowFormat*> format;
  i64 max_length = 1024;
  Truncation truncation = Truncation::kKeepStart;
  bool shuffle = true;
  std::optional<bool> completion_only_loss;
  std::optional<bool> assistant_only_loss;
  TrainThinking train_on_thinking = TrainThinking::kAll;
  bool add_eos = true;
  SpeltTokens special_tokens_in_text = SpeltTokens::kLiteral;
  EmptyRows on_empty_row = EmptyRows::kSkip;
  void fields(FieldVisitor& v);
};

struct TrainingConfig {
  double num_train_epochs = 1.0;
  i64 max_steps = -1;
  i64 per_device_train_batch_size = 1;
  i64 gradient_accumulation_steps = 1;
  double learning_rate = 2e-4;
  std::string lr_scheduler_type = "cosine";
  i64 warmup_steps = 0;
  double warmup_ratio = 0.0;
  double weight_decay = 0.0;
  DecayOn weight_decay_on = DecayOn::kWeights;
  std::string optim = "adamw";
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.999;
  double adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;
  AutoOr<GemmCompute> compute_dtype;
  AutoOr<Bf16Products> bf16_products;
  AutoOr<DType> activation_dtype;
  AutoOr<Recompute> gradient_checkpointing;
  std::optional<i64> gradient_checkpointing_layers;
  i64 seed = 42;
  void fields(FieldVisitor& v);
};

struct EvalConfig {
  i64 eval_steps = 0;
  void fields(FieldVisitor& v);
};

struct SaveConfig {
  /// Always set after load_run_config().
  std::optional<std::string> output_dir;
  i64 save_steps = 0;
  std::optional<i64> save_total_limit = 2;
  void fields(FieldVisitor& v);
};

struct LoggingConfig {
  i64 logging_steps = 1;
  void fields(FieldVisitor& v);
};

struct RuntimeConfig {
  AutoOr<i64> threads;
  IntegerOrString max_memory = "auto";
  Prepack prepack_weights = Prepack::kNever;
  void fields(FieldVisitor& v);
};

struct RunConfig {
  ModelConfig model;
  std::optional<QuantizationConfig> quantization;
  std::optional<PeftConfig> peft;
  DataConfig data;
  TrainingConfig training;
  EvalConfig eval;
  SaveConfig save;
  LoggingConfig logging;
  RuntimeConfig runtime;
  void fields(FieldVisitor& v);
};

}  // namespace inlay
