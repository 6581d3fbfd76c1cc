// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "nn/models/rope_config.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

// Reads the keys "<architecture>.<name>".
class Keys {
 public:
  Keys(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}
  i64 integer(const std::string& name) const {
    const std::optional<i64> alike = same_in_every_layer(name);
    return alike ? *alike : file_.get_int(prefix_ + name);
  }
  i64 integer(const std::string& name, i64 otherwise) const {
    return has(name) ? integer(name) : otherwise;
  }
  double number(const std::string& name) const { return file_.get_float(prefix_ + name); }
  double number(const std::string& name, double otherwise) const {
    return file_.find_float(prefix_ + name).value_or(otherwise);
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return std::string(file_.find_string(prefix_ + name).value_or(otherwise));
  }
  bool has(const std::string& name) const { return file_.find(prefix_ + name) != nullptr; }
  [[noreturn]] void fail(const std::string& name, const std::string& complaint) const {
    throw DataError(str(file_.path(), ": \"", prefix_, name, "\": ", complaint));
  }

 private:
  // Some writers give a list with one number a layer; here all layers are alike.
  std::optional<i64> same_in_every_layer(const std::string& name) const {
    const GgufValue* value = file_.find(prefix_ + name);
    if (value == nullptr || !std::holds_alternative<GgufArray>(*value)) {
      return {};
    }
    const std::vector<i64> layers = *file_.find_ints(prefix_ + name);
    if (layers.empty() || std::ranges::any_of(layers, [&](i64 x) { return x != layers[0]; })) {
      fail(name, "layers that differ from one another are not supported");
    }
    return layers[0];
  }

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

// How the frequencies are stretched, by llama.cpp's rules (llama_context's constructor and
// ggml_rope_yarn):
//   - without a type it is linear; with "none" the factor does not count;
//   - yarn_ext_factor is 1 for yarn and 0 otherwise unless the file says it, and the ramp is used
//     whenever it is not 0;
//   - attn_factor multiplies the cosines and sines of every type, and with the ramp yarn's own
//     0.1 ln(factor) + 1 comes on top, divided by the same for yarn_log_multiplier.
class RopeScaling {
 public:
  explicit RopeScaling(const Keys& keys)
      : keys_(keys), type_(keys.text("rope.scaling.type", "linear")) {
    constexpr std::string_view kTypes[] = {"none", "linear", "yarn", "longrope"};
    if (std::ranges::find(kTypes, type_) == std::end(kTypes)) {
      keys_.fail(
          "rope.scaling.type",
          str("\"", printable(type_), "\" is not supported (none, linear, yarn, longrope are)"));
    }
    factor_ = keys.has("rope.scaling.factor") ? keys.number("rope.scaling.factor")
                                              : keys.number("rope.scale_linear", 1.0);
    if (factor_ < 0.0 || !std::isfinite(factor_)) {
      keys_.fail("rope.scaling.factor", str("expected a number above 0, found ", factor_));
    }
    if (factor_ == 0.0 || type_ == "none") {
      factor_ = 1.0;
    }
    attention_ = keys.number("rope.scaling.attn_factor", 1.0);
    const double given = keys.number("rope.scaling.yarn_ext_factor", -1.0);
    extrapolation_ = given >= 0.0 ? given : type_ == "yarn" ? 1.0 : 0.0;
  }

  void write(const GgufFile& file, Json& config) const {
    Json& rope = config["rope_parameters"];
    Json beyond = Json::object();  // what rope_parameters has no words for
    if (extrapolation_ != 0.0) {
      write_yarn(rope);
      if (extrapolation_ != 1.0) {
        beyond["extrapolation_factor"] = extrapolation_;
      }
    } else if (type_ == "longrope") {
      write_longrope(file, rope);
    } else {
      if (factor_ != 1.0) {
        rope["rope_type"] = "linear";
        rope["factor"] = factor_;
      }
      const double attention = attention_ * keys_.number("rope.scaling.yarn_attn_factor", 1.0);
      if (attention != 1.0) {
        beyond["attention_factor"] = attention;
      }
    }
    if (!beyond.empty()) {
      config[kGgufRopeKey] = std::move(beyond);
    }
  }

 private:
  i64 original_length() const {
    const i64 original = keys_.integer("rope.scaling.original_context_length", 0);
    return original != 0 ? original : keys_.integer("context_length");
  }

  void write_yarn(Json& rope) const {
    rope["rope_type"] = "yarn";
    rope["factor"] = factor_;
    rope["original_max_position_embeddings"] = original_length();
    rope["beta_fast"] = keys_.number("rope.scaling.yarn_beta_fast", 32.0);
    rope["beta_slow"] = keys_.number("rope.scaling.yarn_beta_slow", 1.0);
    const double multiplier = keys_.number("rope.scaling.yarn_log_multiplier", 0.0);
    if (attention_ != 1.0 || multiplier != 0.0) {
      const auto grown = [&](double m) {
        return factor_ <= 1.0 ? 1.0 : 0.1 * m * std::log(factor_) + 1.0;
      };
      rope["attention_factor"] =
          attention_ * grown(1.0) / (multiplier != 0.0 ? grown(multiplier) : 1.0);
    }
  }

  void write_longrope(const GgufFile& file, Json& rope) const {
    rope["rope_type"] = "longrope";
    rope["factor"] = factor_;
    rope["original_max_position_embeddings"] = original_length();
    rope["attention_factor"] = attention_;
    for (const char* length : {"short", "long"}) {
      const GgufTensor& tensor = file.tensor(str("rope_factors_", length, ".weight"));
      if (tensor.type->name != "F32") {
        throw DataError(
            str(file.path(), ": \"", tensor.name, "\": expected F32, found ", tensor.type->name));
      }
      std::vector<float> divisors(tensor.data.size() / sizeof(float));
      std::memcpy(divisors.data(), tensor.data.data(), divisors.size() * sizeof(float));
      Json& list = rope[str(length, "_factor")] = Json::array();
      for (const float divisor : divisors) {
        list.push_back(static_cast<double>(divisor) * factor_);
      }
    }
  }

  const Keys& keys_;
  std::string type_;
  double factor_ = 1.0, attention_ = 1.0, extrapolation_ = 0.0;
};

// llama3's scaling comes as divisors in the tensor rope_freqs.weight; the type then says nothing.
void write_rope(const GgufFile& file, const Keys& keys, i64 head_dim, Json& config) {
  const i64 rotary = keys.integer("rope.dimension_count", head_dim);
  if (rotary != head_dim) {
    keys.fail("rope.dimension_count",
              str("expected the ", head_dim, " of a head, which turns whole, found ", rotary));
  }
  config["rope_parameters"] = {{"rope_type", "default"},
                               {"rope_theta", keys.number("rope.freq_base", 10000.0)}};
  RopeScaling(keys).write(file, config);
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
  if (const i64 of_values = keys.integer("attention.value_length", head_dim);
      of_values != head_dim) {
    keys.fail("attention.value_length",
              str("expected the ", head_dim, " of attention.key_length, found ", of_values));
  }
  write_rope(file, keys, head_dim, c);
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
  const std::string kind(file.find_string("general.type").value_or("model"));
  if (kind != "model") {
    throw DataError(str(file.path(), ": \"general.type\": expected \"model\", found \"",
                        printable(kind), "\""));
  }
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
  // Old converters wrote -1, as a u32 too, where there is none.
  for (const char* name : {"bos", "eos", "unknown", "padding"}) {
    const auto id = file.find_int(str("tokenizer.ggml.", name, "_token_id"));
    if (id && *id >= 0 && *id != std::numeric_limits<u32>::max()) {
      const std::string key = name == std::string("unknown")   ? "unk_token_id"
                              : name == std::string("padding") ? "pad_token_id"
                                                               : std::string(name) + "_token_id";
      config[key] = *id;
    }
  }
  return HfConfig(config, file.path());
}

}  // namespace inlay
