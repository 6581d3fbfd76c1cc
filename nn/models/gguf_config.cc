// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gguf_config.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

// Reads the keys "<architecture>.<name>".
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}
  i64 integer(const std::string& name) const { return file_.get_int(prefix_ + name); }
  i64 integer(const std::string& name, i64 otherwise) const {
    return file_.find_int(prefix_ + name).value_or(otherwise);
  }
  double number(const std::string& name) const { return file_.get_float(prefix_ + name); }
  double number(const std::string& name, double otherwise) const {
    return file_.find_float(prefix_ + name).value_or(otherwise);
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return std::string(file_.find_string(prefix_ + name).value_or(otherwise));
  }
  bool has(const std::string& name) const { return file_.find(prefix_ + name) != nullptr; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

i64 vocabulary(const GgufFile& file) {
  const GgufTensor& table = file.tensor("token_embd.weight");
  if (table.shape.size() != 2) {
    throw DataError(
        str(file.path(), ": \"token_embd.weight\": expected two axes, found ", table.shape.size()));
  }
  return table.shape[0];
}

Json rope_parameters(const GgufFile& file, const Keys& keys, i64 head_dim) {
  Json rope = {{"rope_type", "default"}, {"rope_theta", keys.number("rope.freq_base", 10000.0)}};
  const i64 rotary = keys.integer("rope.dimension_count", head_dim);
  if (rotary != head_dim && head_dim > 0) {
    rope["partial_rotary_factor"] = static_cast<double>(rotary) / static_cast<double>(head_dim);
  }
  const std::string type = keys.text("rope.scaling.type", "none");
  if (type != "none") {
    rope["rope_type"] = type;
    rope["factor"] = keys.number("rope.scaling.factor");
    if (keys.has("rope.scaling.original_context_length")) {
      rope["original_max_position_embeddings"] =
          keys.integer("rope.scaling.original_context_length");
    }
  }
  // llama3's scaling comes as divisors in the tensor rope_freqs.weight; the type then is "none".
  static_cast<void>(file);
  return rope;
}

Json llama_config(const GgufFile& file) {
  const Keys keys(file, "llama.");
  Json c;
  c["model_type"] = "llama";
  c["architectures"] = {"LlamaForCausalLM"};
  c["vocab_size"] = vocabulary(file);
  c["hidden_size"] = keys.integer("embedding_length");
  c["intermediate_size"] = keys.integer("feed_forward_length");
  c["num_hidden_layers"] = keys.integer("block_count");
  const i64 heads = keys.integer("attention.head_count");
  c["num_attention_heads"] = heads;
  c["num_key_value_heads"] = keys.integer("attention.head_count_kv", heads);
  const i64 head_dim = keys.integer("attention.key_length",
                                    keys.integer("embedding_length") / std::max<i64>(1, heads));
  c["head_dim"] = head_dim;
  c["max_position_embeddings"] = keys.integer("context_length");
  c["rms_norm_eps"] = keys.number("attention.layer_norm_rms_epsilon");
  c["hidden_act"] = "silu";
  c["rope_parameters"] = rope_parameters(file, keys, head_dim);
  c["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  c["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  c["tie_word_embeddings"] = file.find_tensor("output.weight") == nullptr;
  if (file.find_tensor("blk.0.ffn_gate_inp.weight") != nullptr) {
    throw DataError(file.path() + ": mixture-of-experts models are not supported");
  }
  return c;
}

Json gpt2_config(const GgufFile& file) {
  const Keys keys(file, "gpt2.");
  Json c;
  c["model_type"] = "gpt2";
  c["architectures"] = {"GPT2LMHeadModel"};
  c["vocab_size"] = vocabulary(file);
  c["n_embd"] = keys.integer("embedding_length");
  c["n_inner"] = keys.integer("feed_forward_length");
  c["n_layer"] = keys.integer("block_count");
  c["n_head"] = keys.integer("attention.head_count");
  c["n_positions"] = keys.integer("context_length");
  c["layer_norm_epsilon"] = keys.number("attention.layer_norm_epsilon");
  c["activation_function"] = "gelu_new";
  c["tie_word_embeddings"] = file.find_tensor("output.weight") == nullptr;
  // The file does not say what the model was trained with.
  c["attn_pdrop"] = c["resid_pdrop"] = c["embd_pdrop"] = 0.0;
  return c;
}

}  // namespace

HfConfig gguf_config(const GgufFile& file) {
  const std::string architecture(file.get_string("general.architecture"));
  Json config;
  if (architecture == "llama") {
    config = llama_config(file);
  } else if (architecture == "gpt2") {
    config = gpt2_config(file);
  } else {
    throw DataError(str(file.path(), ": \"general.architecture\": \"", printable(architecture),
                        "\" is not an architecture inlay knows (llama, gpt2)"));
  }
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    if (const auto id = file.find_int(str("tokenizer.ggml.", name, "_token_id"))) {
      const std::string key = name == std::string("unknown")   ? "unk_token_id"
                              : name == std::string("padding") ? "pad_token_id"
                                                               : std::string(name) + "_token_id";
      config[key] = *id;
    }
  }
  return HfConfig(config, file.path());
}

}  // namespace inlay
