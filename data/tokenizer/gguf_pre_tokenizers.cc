// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/gguf_pre_tokenizers.h"

#include <algorithm>

#include "core/error.h"
#include "data/tokenizer/split_pattern.h"

namespace inlay {
namespace {

/// Marks belong to their letters.
constexpr std::string_view kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Words end where capitals begin.
constexpr std::string_view kGpt4oPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kDeepSeek3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kChineseAndJapanese =
    R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kChineseAndKorean =
    R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kExaoneMoePattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoderPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailingPattern =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";

/// Names and flags as llama.cpp has them, patterns as the models' own files: where llama.cpp
/// rewrote one for its matcher, the two may differ in rare letters. And Qwen's models were trained
/// on normalised text, which llama.cpp leaves to the user: here it is done.
const GgufPreTokenizer kPreTokenizers[] = {
    {.names = {"gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling",
               "gigachat", "a.x-4.0", "mellum", "roberta-bpe"},
     .patterns = {kGpt2Pattern}},
    {.names = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b",
               "mellum2"},
     .patterns = {R"(\p{N})", kGpt2Pattern}},
    {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "lfm2", "pixtral",
               "midm-2.0"},
     .patterns = {kLlama3Pattern},
     .ignore_merges = true,
     .add_bos = true},
    {.names = {"dbrx", "smaug-bpe", "chatglm-bpe"}, .patterns = {kLlama3Pattern}},
    {.names = {"glm4", "glm5"}, .patterns = {kLlama3Pattern}, .ignore_merges = true},
    {.names = {"qwen2"}, .patterns = {kQwen2Pattern}, .nfc = true},
    {.names = {"qwen35"}, .patterns = {kQwen35Pattern}, .nfc = true},
    {.names = {"deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "solar-open",
               "grok-2"},
     .patterns = {kQwen2Pattern}},
    {.names = {"gpt-4o", "llama4", "kanana2", "minimax-m2"}, .patterns = {kGpt4oPattern}},
    {.names = {"tiny_aya", "cohere2moe"},
     .patterns = {R"(\d{1,3}(?=(?:\d{3})*\b))", kGpt4oPattern}},
    {.names = {"tekken"}, .patterns = {kTekkenPattern}, .ignore_merges = true, .add_bos = true},
    {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     .patterns = {R"(\p{N}{1,3})", kChineseAndJapanese, kDeepSeek3Pattern}},
    {.names = {"deepseek-coder"},
     .patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kChineseAndKorean, R"(\p{N})"}},
    {.names = {"falcon"},
     .patterns = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"}},
    {.names = {"exaone-moe"}, .patterns = {kExaoneMoePattern}},
    {.names = {"seed-coder"}, .patterns = {kSeedCoderPattern}},
    {.names = {"bailingmoe", "bailingmoe2", "llada-moe"}, .patterns = {kBailingPattern}},
    {.names = {"default"},
     .patterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
};

std::string allowed_names() {
  std::string all;
  for (const GgufPreTokenizer& entry : kPreTokenizers) {
    for (const std::string_view name : entry.names) {
      all += str(all.empty() ? "" : ", ", name);
    }
  }
  return all;
}

}  // namespace

const GgufPreTokenizer& gguf_pre_tokenizer(const std::string& name, const std::string& file) {
  for (const GgufPreTokenizer& entry : kPreTokenizers) {
    if (std::count(entry.names.begin(), entry.names.end(), name) != 0) {
      return entry;
    }
  }
  throw DataError(
      name.empty()
          ? str(file, ": tokenizer.ggml.pre is missing, so how to split text is not known; give a ",
                "tokenizer.json instead")
          : str(file, ": tokenizer.ggml.pre: \"", printable(name),
                "\" is not supported; supported are ", allowed_names()));
}

}  // namespace inlay
