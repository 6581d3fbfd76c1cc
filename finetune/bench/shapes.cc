// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/shapes.h"

#include <nlohmann/json.hpp>

#include "core/config/reader.h"
#include "core/config/run_file.h"
#include "core/error.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

struct NamedShape {
  const char* name;
  const char* config;
};

constexpr NamedShape kShapes[] = {
    {"smollm2-135m",
     R"({"model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
         "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
         "max_position_embeddings": 8192, "rope_theta": 100000.0, "rms_norm_eps": 1e-5,
         "tie_word_embeddings": true})"},
    {"gpt2-124m",
     R"({"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024, "n_embd": 768,
         "n_layer": 12, "n_head": 12, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0})"},
    {"qwen2-0.5b",
     R"({"model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896,
         "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
         "num_key_value_heads": 2, "max_position_embeddings": 32768, "rope_theta": 1000000.0,
         "rms_norm_eps": 1e-6, "tie_word_embeddings": true})"},
    // 15 GB in bf16: for --peft qlora with --dtype bf16.
    {"qwen2-7b",
     R"({"model_type": "qwen2", "vocab_size": 152064, "hidden_size": 3584,
         "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
         "num_key_value_heads": 4, "max_position_embeddings": 32768, "rope_theta": 1000000.0,
         "rms_norm_eps": 1e-6, "tie_word_embeddings": false})"},
    {"qwen3-0.6b",
     R"({"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024,
         "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
         "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960,
         "rope_theta": 1000000.0, "rms_norm_eps": 1e-6, "tie_word_embeddings": true})"},
    {"gemma3-270m",
     R"({"model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640,
         "intermediate_size": 2048, "num_hidden_layers": 18, "num_attention_heads": 4,
         "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256,
         "sliding_window": 512, "sliding_window_pattern": 6, "max_position_embeddings": 32768,
         "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0})"},
    {"smollm3-3b",
     R"({"model_type": "smollm3", "vocab_size": 128256, "hidden_size": 2048,
         "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 4, "max_position_embeddings": 65536, "rope_theta": 5000000.0,
         "rms_norm_eps": 1e-6, "no_rope_layer_interval": 4, "tie_word_embeddings": true})"},
    {"tiny",
     R"({"model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128,
         "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 512, "tie_word_embeddings": true})"},
};

nlohmann::ordered_json bench_peft(const BenchRun& run) {
  return {{"r", run.rank}, {"lora_alpha", 2 * run.rank}, {"target_modules", "all-linear"}};
}

}  // namespace

std::span<const Choice<BenchPeft>> ChoicesOf<BenchPeft>::all() {
  static constexpr Choice<BenchPeft> kTable[] = {
      {"lora", BenchPeft::kLora}, {"qlora", BenchPeft::kQlora}, {"none", BenchPeft::kNone}};
  return kTable;
}

std::vector<std::string> bench_shape_names() {
  std::vector<std::string> names;
  for (const NamedShape& shape : kShapes) {
    names.emplace_back(shape.name);
  }
  return names;
}

std::string bench_shape(const std::string& name) {
  std::string known;
  for (const NamedShape& shape : kShapes) {
    if (name == shape.name) {
      return shape.config;
    }
    known += (known.empty() ? "" : ", ") + std::string(shape.name);
  }
  throw ConfigError(str("--shape: expected one of ", known, ", found \"", printable(name), "\"",
                        did_you_mean(name, bench_shape_names())));
}

RunConfig bench_run_config(const BenchRun& run, const std::vector<std::string>& overrides) {
  nlohmann::ordered_json json = {
      {"model",
       {{"config", nlohmann::ordered_json::parse(bench_shape(run.shape))}, {"dtype", run.dtype}}},
      {"data", {{"train", "random tokens"}, {"format", "tokens"}, {"max_length", run.length}}},
      {"training",
       {{"per_device_train_batch_size", run.batch}, {"lr_scheduler_type", "constant"}}}};
  if (run.peft != BenchPeft::kNone) {
    json["peft"] = bench_peft(run);
  }
  if (run.peft == BenchPeft::kQlora) {
    json["quantization"] = {{"load_in_4bit", true}};
  }
  ConfigDocument document = ConfigDocument::single(std::move(json), {"inlay bench", ""});
  for (const std::string& assignment : overrides) {
    apply_override(document, assignment);
  }
  RunConfig config = read_config<RunConfig>(document);
  check(config, document);
  return config;
}

}  // namespace inlay
