// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/run_config.h"

#include <limits>

#include "core/error.h"
#include "optim/optimizer.h"
#include "optim/schedule.h"

namespace inlay {
namespace {

/// Steps, epochs and batch sizes beyond any run, and far from overflow when multiplied.
constexpr i64 kMaxSteps = 1'000'000'000;
constexpr i64 kMaxBatch = 65'536;
constexpr double kMaxEpochs = 1e6;
constexpr i64 kMaxTokens = 1 << 20;
constexpr i64 kMaxLayers = 100'000;

std::string optimizer_help() {
  std::string help = "the optimizer";
  for (const OptimizerKind& kind : optimizers()) {
    help += kind.remark.empty() ? "" : str("; ", kind.name, ": ", kind.remark);
  }
  return help;
}

}  // namespace

void ModelConfig::fields(FieldVisitor& v) {
  v.path_or_name("model_name_or_path", model_name_or_path,
                 "Hugging Face directory, .gguf file, or a name found in the local cache");
  v.field("config", config,
          "instead of a path: Hugging Face config keys of a model with random weights");
  v.path_or("tokenizer", tokenizer, {"bytes"},
            "tokenizer directory or file, or \"bytes\" for 256 byte tokens; null: the model's own");
  v.path_or_name("chat_template", chat_template,
                 "\"auto\", the name of one of the tokenizer's templates or of ours (chatml, "
                 "llama3 ...), or a "
                 "Jinja file");
  v.field("template_date", template_date,
          "day (2025-01-31, or with T12:30:00) that a template's strftime_now gives; null: today");
  v.choice("dtype", dtype, {DType::kF32, DType::kBf16},
           "storage of the base weights; \"auto\": as the files have them");
  v.field("attn_implementation", attn_implementation,
          "\"tiled\" keeps no T x T scores; \"reference\" is the plain formula, for comparison");
  v.field("rope_scaling", rope_scaling,
          "replaces the model's own rope_scaling, to make it longer: {\"rope_type\": \"yarn\", "
          "\"factor\": 4}");
  v.hint("path", "model_name_or_path");
  v.hint("name", "model_name_or_path");
  v.hint("torch_dtype", "dtype");
}

void QuantizationConfig::fields(FieldVisitor& v) {
  v.field("load_in_4bit", load_in_4bit, "quantise the frozen linear layers to 4 bits as they load");
  v.field("bnb_4bit_quant_type", bnb_4bit_quant_type, "the 16 values of a code");
  v.field("bnb_4bit_use_double_quant", bnb_4bit_use_double_quant,
          "store the scale of a block in 8 bits too");
  v.field("bnb_4bit_blocksize", bnb_4bit_blocksize, {32, 4096},
          "weights that share a scale, a power of two");
  v.choice("bnb_4bit_compute_dtype", bnb_4bit_compute_dtype,
           {GemmCompute::kF32, GemmCompute::kBf16},
           "type the weights are decoded to; \"auto\": training.compute_dtype");
  v.field(
      "skip_modules", skip_modules,
      "linear layers to leave as they are, by begin or end of their paths; \"lm_head\": the head");
  v.ignored("quant_method", "one of bitsandbytes' config keys, for which load_in_4bit speaks");
  v.neutral("load_in_8bit", {"false"}, "8-bit weights are not supported");
  v.neutral("bnb_4bit_quant_storage", {"\"uint8\""}, "two codes are stored in a byte");
  v.hint("llm_int8_skip_modules", "skip_modules");
}

void DataConfig::fields(FieldVisitor& v) {
  v.path("train", train, "JSONL file, JSON array or text to train on");
  v.path("validation", validation, "the same for evaluations");
  v.field("format", format, "columns of a row; \"auto\": judged by the first row");
  v.field("max_length", max_length, {2, kMaxTokens}, "tokens a row may have");
  v.field("truncation", truncation,
          "what a row over max_length keeps: its first tokens, its last, or it stops the run");
  v.field("shuffle", shuffle, "a new order each epoch, drawn from training.seed");
  v.field("completion_only_loss", completion_only_loss,
          "train on the completion alone; null: yes where rows have a prompt");
  v.field("assistant_only_loss", assistant_only_loss,
          "train on the assistant's messages alone; null: yes where rows are messages");
  v.field(
      "train_on_thinking", train_on_thinking,
      "thoughts in the assistant's messages that are trained on: \"all\" in the text, the rows' "
      "\"own\" but not the empty <think></think> of a chat template, or \"none\"");
  v.field("add_eos", add_eos, "end text and completions with the end-of-sequence token");
  v.field("special_tokens_in_text", special_tokens_in_text,
          "what control tokens spelt out in the data are: \"literal\": letters; \"parse\": those "
          "tokens, for rows that went through a chat template");
  v.field("on_empty_row", on_empty_row,
          "a row with nothing to train on is left out and counted, or stops the run");
  v.neutral("packing", {"false"}, "rows are not put together: a batch has no padding to save");
  v.hint("dataset", "train");
  v.hint("train_file", "train");
  v.hint("validation_file", "validation");
  v.hint("max_seq_length", "max_length");
  v.hint("max_seq_len", "max_length");
}

void TrainingConfig::fields(FieldVisitor& v) {
  v.field("num_train_epochs", num_train_epochs, {.min = 0.0, .max = kMaxEpochs, .above_min = true},
          "passes over the data; parts of one are allowed");
  v.field("max_steps", max_steps, {-1, kMaxSteps},
          "optimizer steps, in place of num_train_epochs; -1: not set");
  v.field("per_device_train_batch_size", per_device_train_batch_size, {1, kMaxBatch},
          "rows computed at once");
  v.field("gradient_accumulation_steps", gradient_accumulation_steps, {1, kMaxBatch},
          "batches in an optimizer step; the loss is the mean over all their trained tokens");
  v.field("learning_rate", learning_rate, {0.0, 10.0}, "the peak of the schedule");
  v.choice("lr_scheduler_type", lr_scheduler_type, schedule_names(),
           "the learning rate after warmup; linear and cosine fall to 0 at the last step");
  v.field("warmup_steps", warmup_steps, {0, kMaxSteps},
          "steps in which the learning rate rises from 0, under every schedule");
  v.field("warmup_ratio", warmup_ratio, {0.0, 1.0}, "the same as a part of all steps, rounded up");
  v.field("weight_decay", weight_decay, {0.0, 100.0}, "decoupled, as in AdamW");
  v.field("weight_decay_on", weight_decay_on,
          "what decays: \"weights\": all but norms and biases, as with Transformers' Trainer; "
          "\"all\": these, too");
  static const std::string about_optim = optimizer_help();
  v.choice("optim", optim, optimizer_names(), about_optim);
  v.field("adam_beta1", adam_beta1, {.min = 0.0, .max = 1.0, .below_max = true},
          "decay of the mean of the gradients");
  v.field("adam_beta2", adam_beta2, {.min = 0.0, .max = 1.0, .below_max = true},
          "decay of the mean of their squares");
  v.field("adam_epsilon", adam_epsilon, {0.0, 1.0}, "added to the root of that mean");
  v.field("max_grad_norm", max_grad_norm, {0.0, 1e9},
          "norm of the whole gradient above which it is scaled down; 0: never");
  v.field("compute_dtype", compute_dtype,
          "what products round their operands to, sums are f32; \"auto\": bf16 where this "
          "processor measurably multiplies it faster than f32, else f32; int8: products of frozen "
          "weights, with a scale for "
          "every 64 values, and bf16 for the rest");
  v.field("bf16_products", bf16_products,
          "what multiplies operands rounded to bf16: \"native\": the processor's instruction for "
          "them, where it has one; \"f32\": multiply-adds of f32, the same arithmetic summed in "
          "another order; \"auto\": the faster of the two, measured");
  v.choice("activation_dtype", activation_dtype, {DType::kF32, DType::kBf16},
           "what is kept for backward is stored in, but for the residual stream, which is f32; "
           "\"auto\": f32 with compute_dtype f32, else bf16");
  v.field("gradient_checkpointing", gradient_checkpointing,
          "what backward computes again instead of keeping it: \"selective\": the first products "
          "of each MLP and the last of each attention, two thirds of what is kept; \"block\": all "
          "of a block but its input; "
          "\"auto\": the least with which the run fits runtime.max_memory");
  v.field("gradient_checkpointing_layers", gradient_checkpointing_layers, {1, kMaxLayers},
          "so many blocks, from the first, do; null: all, or as many as \"auto\" chooses");
  v.field("seed", seed, {0, std::numeric_limits<i64>::max()},
          "of initial weights, order and dropout");
  v.neutral("loraplus_lr_ratio", {"null"}, "LoRA+ is not supported");
  v.hint("lr", "learning_rate");
  v.hint("epochs", "num_train_epochs");
  v.hint("num_epochs", "num_train_epochs");
  v.hint("batch_size", "per_device_train_batch_size");
  v.hint("scheduler", "lr_scheduler_type");
  v.hint("lr_scheduler", "lr_scheduler_type");
  v.hint("optimizer", "optim");
  v.hint("random_seed", "seed");
  v.hint("activation_checkpointing", "gradient_checkpointing");
}

void EvalConfig::fields(FieldVisitor& v) {
  v.field("eval_steps", eval_steps, {0, kMaxSteps},
          "steps from one evaluation to the next; 0: only at the end, if there is validation data");
  v.neutral("early_stopping_patience", {"null"}, "early stopping is not supported");
  v.neutral("sample_prompts", {"[]"}, "samples in the course of a training are not supported");
}

void SaveConfig::fields(FieldVisitor& v) {
  v.path("output_dir", output_dir,
         "the run directory; null: runs/NAME beside the config file NAME.json");
  v.field("save_steps", save_steps, {0, kMaxSteps},
          "steps from one checkpoint to the next; 0: none");
  v.field("save_total_limit", save_total_limit, {1, 1'000'000},
          "checkpoints to keep, the best one not counted; null: all");
  v.neutral("export", {"[\"peft\"]"}, "an adapter is written in PEFT's form alone");
}

void LoggingConfig::fields(FieldVisitor& v) {
  v.field("logging_steps", logging_steps, {1, kMaxSteps}, "steps from one log line to the next");
  v.neutral("tensorboard", {"false"}, "files for TensorBoard are not written");
  v.neutral("html_report", {"false"}, "an HTML report is not written");
}

void RuntimeConfig::fields(FieldVisitor& v) {
  v.field("threads", threads, {1, 1024},
          "threads to compute with; \"auto\": all the machine gives; the results are the same");
  v.field("max_memory", max_memory, {1, std::numeric_limits<i64>::max()},
          "bytes the process may take, or a text such as \"6GB\" or \"900MiB\": a run that needs "
          "more is refused before it starts; \"auto\": nine tenths of what is free");
  v.field("prepack_weights", prepack_weights,
          "whether frozen weights are stored twice more, in the order in which products read them, "
          "which small batches gain most by: 8 bytes a weight for f32, 4 for bf16; \"auto\": where "
          "the run "
          "then fits max_memory without recomputing more");
  v.neutral("kernels", {"\"auto\""}, "the processor decides which instructions are used");
  v.neutral("distributed", {"null"}, "a training on several machines is not supported");
}

void RunConfig::fields(FieldVisitor& v) {
  v.object("model", model, "the base model");
  v.object("quantization", quantization, "4-bit base weights (QLoRA); null: none");
  v.object("peft", peft,
           "the adapter, in the keys of PEFT's adapter_config.json; null: full training");
  v.object("data", data, "what to train on");
  v.object("training", training, "the optimizer and its steps");
  v.object("eval", eval, "evaluation during training");
  v.object("save", save, "the run directory");
  v.object("logging", logging, "metrics.jsonl and the progress on stderr");
  v.object("runtime", runtime, "the machine");
  v.ignored("$schema", "where an editor finds the JSON Schema of this file");
}

}  // namespace inlay
