// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gguf_names.h"

#include <span>
#include <string_view>

namespace inlay {
namespace {

struct Pair {
  std::string_view hf, gguf;
};

struct FamilyNames {
  std::string_view family;
  std::string_view layers;  // what comes before the layer's number
  std::span<const Pair> in_layer;
  std::span<const Pair> outside;
};

constexpr Pair kLlamaLayer[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};
constexpr Pair kLlamaOutside[] = {{"model.embed_tokens", "token_embd"},
                                  {"model.norm", "output_norm"},
                                  {"lm_head", "output"},
                                  {"rope_freqs", "rope_freqs"}};

constexpr Pair kGpt2Layer[] = {
    {"ln_1", "attn_norm"}, {"attn.c_attn", "attn_qkv"}, {"attn.c_proj", "attn_output"},
    {"ln_2", "ffn_norm"},  {"mlp.c_fc", "ffn_up"},      {"mlp.c_proj", "ffn_down"},
};
constexpr Pair kGpt2Outside[] = {{"transformer.wte", "token_embd"},
                                 {"transformer.wpe", "position_embd"},
                                 {"transformer.ln_f", "output_norm"},
                                 {"lm_head", "output"}};

constexpr FamilyNames kFamilyNames[] = {
    {"llama", "model.layers.", kLlamaLayer, kLlamaOutside},
    {"gpt2", "transformer.h.", kGpt2Layer, kGpt2Outside},
};

// The entry of `pairs` that `name` is, or starts with before a dot, with its GGUF spelling in
// place.
std::optional<std::string> translate(std::span<const Pair> pairs, std::string_view name) {
  for (const Pair& pair : pairs) {
    if (name == pair.hf || (name.starts_with(pair.hf) && name[pair.hf.size()] == '.')) {
      return std::string(pair.gguf) + std::string(name.substr(pair.hf.size()));
    }
  }
  return {};
}

}  // namespace

std::optional<std::string> gguf_name(const std::string& family, const std::string& hf_name) {
  for (const FamilyNames& names : kFamilyNames) {
    if (names.family != family) {
      continue;
    }
    if (!hf_name.starts_with(names.layers)) {
      return translate(names.outside, hf_name);
    }
    const std::size_t number = names.layers.size();
    const std::size_t dot = hf_name.find('.', number);
    if (dot == std::string::npos) {
      return {};
    }
    const auto part = translate(names.in_layer, std::string_view(hf_name).substr(dot + 1));
    return part ? std::optional("blk." + hf_name.substr(number, dot - number) + "." + *part)
                : std::nullopt;
  }
  return {};
}

}  // namespace inlay
