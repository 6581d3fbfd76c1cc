// SPDX-License-Identifier: Apache-2.0

// Model folders and files as people have them: what loads, to which logits, with which notice, and
// what is refused in which sentence.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/io/atomic.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "quant/finite.h"
#include "tests/support/error_text.h"
#include "tests/support/golden.h"
#include "tests/support/known_families.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

// As in golden_model_test.cc: logits of size 10 by sums of some hundred products.
constexpr double kLargestDifference = 4e-5;

// A golden model in a folder of its own, in which each case changes something.
class ModelFolder {
 public:
  explicit ModelFolder(const std::string& model) : model_(golden("models/" + model)) {
    config = read_json(model_ + "/config.json");
    const SafetensorsFile file(model_ + "/model.safetensors");
    for (const TensorEntry& entry : file.entries()) {
      tensors.push_back({entry.name, *entry.dtype, entry.shape, entry.data});
      files_.push_back(entry.file);
    }
  }

  TensorToWrite& tensor(const std::string& name) {
    for (TensorToWrite& t : tensors) {
      if (t.name == name) {
        return t;
      }
    }
    throw std::runtime_error("no tensor " + name);
  }
  void add(const std::string& name, const std::vector<i64>& shape, float value = 0.5F) {
    i64 count = 1;
    for (const i64 size : shape) {
      count *= size;
    }
    kept_.push_back(std::make_shared<std::vector<float>>(count, value));
    tensors.push_back({name, DType::kF32, shape, std::as_bytes(std::span(*kept_.back()))});
  }
  void erase(const std::string& name) {
    std::erase_if(tensors, [&](const TensorToWrite& t) { return t.name == name; });
  }
  // The values of a tensor, to be changed in place.
  std::span<float> values(const std::string& name) {
    const SafetensorsFile file(model_ + "/model.safetensors");
    const TensorEntry& entry = file.at(name);
    kept_.push_back(std::make_shared<std::vector<float>>(entry.data.size() / sizeof(float)));
    std::memcpy(kept_.back()->data(), entry.data.data(), entry.data.size());
    tensor(name).bytes = std::as_bytes(std::span(*kept_.back()));
    return *kept_.back();
  }

  std::string path() const { return temp_.path(); }
  std::string file(const std::string& name) const { return temp_.file(name); }
  void write_config() const { write_file(file("config.json"), config.dump()); }
  void write() const {
    write_config();
    write_safetensors(file("model.safetensors"), tensors);
  }
  // Tensor i in shard i % 2, and an index that says so, with `more` entries.
  void write_shards(const Json& more = Json::object()) const {
    write_config();
    Json map = more;
    std::vector<TensorToWrite> shards[2];
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      shards[i % 2].push_back(tensors[i]);
      if (!map.contains(tensors[i].name)) {
        map[tensors[i].name] = shard_name(i % 2);
      }
    }
    for (std::size_t s = 0; s < 2; ++s) {
      write_safetensors(file(shard_name(s)), shards[s]);
    }
    write_file(file("model.safetensors.index.json"), Json{{"weight_map", map}}.dump());
  }
  static std::string shard_name(std::size_t s) {
    return s == 0 ? "model-00001-of-00002.safetensors" : "model-00002-of-00002.safetensors";
  }

  // That it loads with the logits Transformers has for the golden model, and says `notices`.
  void expect_golden_logits(const std::vector<std::string>& notices = {}) const {
    const LoadedModel loaded = load_model_at(path());
    const StoredTensors stored(model_ + "/golden_forward.safetensors");
    EXPECT_LE(largest_difference(logits_of(*loaded.model, stored.rows("input_ids")),
                                 stored.floats("logits")),
              kLargestDifference);
    expect_notices(loaded, notices);
  }
  void expect_notices(const LoadedModel& loaded, const std::vector<std::string>& notices) const {
    ASSERT_EQ(loaded.notices.size(), notices.size())
        << (loaded.notices.empty() ? "" : loaded.notices.front());
    for (std::size_t i = 0; i < notices.size(); ++i) {
      EXPECT_EQ(loaded.notices[i], path() + notices[i]);
    }
  }
  std::string refusal(bool require_finite = false) const {
    LoadOptions options;
    options.model.model_name_or_path = path();
    options.require_finite = require_finite;
    const std::string text = error_text<DataError>([&] { load_model(options); });
    return text.starts_with(path()) ? text.substr(path().size()) : text;
  }

  Json config;
  std::vector<TensorToWrite> tensors;

 private:
  TempDirectory temp_;
  std::string model_;
  std::vector<std::shared_ptr<const MappedFile>> files_;
  std::vector<std::shared_ptr<std::vector<float>>> kept_;
};

constexpr const char* kUntied = "llama_untied_bias_headdim";

TEST(TiedHead, IsTheFilesOwnWhereTheFileHasAnother) {
  const std::string sentence =
      "/config.json: tie_word_embeddings is true, but \"lm_head.weight\" differs from the "
      "embedding: the head of the file is used, as in Transformers";
  ModelFolder folder(kUntied);
  folder.config["tie_word_embeddings"] = true;
  folder.write();
  folder.expect_golden_logits({sentence});
  folder.write_shards();
  std::filesystem::remove(folder.file("model.safetensors"));
  folder.expect_golden_logits({sentence});
}

TEST(TiedHead, OfAnyFamilyMayBeTheFilesOwn) {
  ModelFolder folder("gpt2");
  const Json config = folder.config;
  const StoredTensors stored(golden("models/gpt2/golden_forward.safetensors"));
  folder.write();
  const Tensor tied = logits_of(*load_model_at(folder.path()).model, stored.rows("input_ids"));
  const i64 width = config["n_embd"].get<i64>();
  folder.add("lm_head.weight", {config["vocab_size"].get<i64>(), width}, 0.0F);
  folder.write();
  const LoadedModel own = load_model_at(folder.path());
  EXPECT_EQ(own.notices.size(), 1U);
  // A head of zeros has no opinion.
  EXPECT_EQ(largest_difference(logits_of(*own.model, stored.rows("input_ids")),
                               Tensor::zeros(tied.shape())),
            0.0);
}

TEST(TiedHead, IsOneWhereTheFileHasItTwice) {
  ModelFolder folder("llama_tied");
  TensorToWrite copy = folder.tensor("model.embed_tokens.weight");
  copy.name = "lm_head.weight";
  folder.tensors.push_back(copy);
  folder.write();
  folder.expect_golden_logits();
  const LoadedModel trained = load_model_at(folder.path(), /*trainable=*/true);
  for (const NamedTensor& p : parameters(*trained.model)) {
    EXPECT_NE(p.name, "lm_head.weight");
  }
}

TEST(TiedHead, StandsForTheTableWhereTheFileHasItAlone) {
  ModelFolder folder("llama_tied");
  folder.tensor("model.embed_tokens.weight").name = "lm_head.weight";
  folder.write();
  folder.expect_golden_logits();
}

TEST(TiedHead, ThatIsMissingIsMissedByName) {
  ModelFolder folder("llama_tied");
  folder.config["tie_word_embeddings"] = false;
  folder.write();
  EXPECT_TRUE(folder.refusal().starts_with(": no tensor \"lm_head.weight\"")) << folder.refusal();
}

TEST(BareModel, IsReadWithoutTheFirstPartOfItsNames) {
  for (const char* model : {"llama_tied", "gpt2"}) {
    ModelFolder folder(model);
    const bool llama = std::string(model) == "llama_tied";
    folder.config["architectures"] = {llama ? "LlamaModel" : "GPT2Model"};
    for (TensorToWrite& t : folder.tensors) {
      t.name = t.name.substr(t.name.find('.') + 1);
    }
    folder.write();
    folder.expect_golden_logits();
  }
}

TEST(ShardIndex, MayListWhatNobodyNeedsAndLeaveOutWhatIsThere) {
  const std::string one = ModelFolder::shard_name(0);
  const std::string two = ModelFolder::shard_name(1);
  const Json cases[] = {
      Json::object(),
      {{"lm_head.weight", one}},
      {{"model.layers.0.self_attn.rotary_emb.inv_freq", two}},
      {{"model.norm.weight", one}, {"model.embed_tokens.weight", one}},  // one of them lies
      {{"model.norm.weight", two}, {"model.embed_tokens.weight", two}},
  };
  for (const Json& more : cases) {
    ModelFolder folder("llama_tied");
    folder.write_shards(more);
    folder.expect_golden_logits();
  }
}

TEST(ShardIndex, IsNamedWhereANeededTensorIsInNoShard) {
  ModelFolder folder("llama_tied");
  folder.erase("model.norm.weight");
  folder.write_shards({{"model.norm.weight", ModelFolder::shard_name(1)}});
  EXPECT_EQ(folder.refusal(),
            ": the index has \"model.norm.weight\" in model-00002-of-00002.safetensors, which does "
            "not hold it");
  folder.write_shards({{"model.norm.weight", "model-00003-of-00003.safetensors"}});
  EXPECT_EQ(folder.refusal(),
            "/model.safetensors.index.json: /weight_map: \"model.norm.weight\": no file "
            "model-00003-of-00003.safetensors in the folder");
}

TEST(Layers, OfFileAndConfigMustBeAsMany) {
  ModelFolder folder("llama_tied");
  for (const i64 said : {1, 3}) {
    folder.config["num_hidden_layers"] = said;
    folder.write();
    EXPECT_EQ(
        folder.refusal(),
        str("/config.json: /num_hidden_layers: ", said,
            ", but the file has 2 layers, up to \"model.layers.1.input_layernorm.weight\"; set "
            "it to 2"));
  }
  ModelFolder gpt2("gpt2");
  gpt2.config["n_layer"] = 1;
  gpt2.write();
  EXPECT_EQ(gpt2.refusal(),
            "/config.json: /n_layer: 1, but the file has 2 layers, up to "
            "\"transformer.h.1.attn.c_attn.bias\"; set it to 2");
}

TEST(Rope, ThatGrowsWithTheLengthIsThatOfTransformers) {
  for (const char* model : {"llama_rope_dynamic", "llama_rope_longrope"}) {
    const LoadedModel loaded = load_model_at(golden(std::string("models/") + model));
    // Long, then short, then long again: what one length leaves behind must not reach the next.
    for (const char* pass : {"golden_forward", "golden_forward_short", "golden_forward"}) {
      const StoredTensors stored(golden(str("models/", model, "/", pass, ".safetensors")));
      for (const AttentionKind kind : {AttentionKind::kTiled, AttentionKind::kReference}) {
        EXPECT_LE(largest_difference(logits_of(*loaded.model, stored.rows("input_ids"), kind),
                                     stored.floats("logits")),
                  kLargestDifference)
            << model << " " << pass;
      }
    }
  }
}

TEST(OtherTasks, AreRefusedByTheirArchitecture) {
  for (const char* name :
       {"LlamaForSequenceClassification", "LlamaForTokenClassification",
        "LlamaForQuestionAnswering", "LlamaRewardModel", "LlamaBidirectionalModel", "GPT2Model"}) {
    ModelFolder folder("llama_tied");
    folder.config["architectures"] = {name};
    folder.write();
    EXPECT_EQ(folder.refusal(), str("/config.json: /architectures: \"", name,
                                    "\" is a model for another task; causal language models are "
                                    "read (",
                                    testing::known_classes(), ")"));
  }
}

TEST(OtherTasks, AreSaidByTheirHeads) {
  for (const char* name : {"score.weight", "v_head.summary.weight", "qa_outputs.weight"}) {
    ModelFolder folder("llama_tied");
    folder.add(name, {2, 3});
    folder.write();
    folder.expect_golden_logits(
        {str(": \"", name, "\" belongs to the head of another task, and is left out")});
  }
}

TEST(Quantisers, AreNamedWithWhatToUseInstead) {
  const std::string instead =
      ", which cannot be read: use the model it was made from, a GGUF file of it, or a "
      "bitsandbytes 4-bit folder";
  const struct {
    Json config;       // added to the model's
    std::string part;  // what a projection is called in the file
    std::string sentence;
  } cases[] = {
      {{{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}},
       "qweight",
       "/config.json: /quantization_config: the weights are quantised with gptq"},
      {{{"quantization_config", {{"quant_method", "awq"}}}},
       "qweight",
       "/config.json: /quantization_config: the weights are quantised with awq"},
      {{{"quantization_config", {{"quant_method", "fp8"}}}},
       "weight_scale_inv",
       "/config.json: /quantization_config: the weights are quantised with fp8"},
      {{{"quantization_config", {{"quant_method", "compressed-tensors"}}}},
       "weight_packed",
       "/config.json: /quantization_config: the weights are quantised with compressed-tensors"},
      {{{"compression_config", {{"format", "pack-quantized"}}}},
       "weight_packed",
       "/config.json: /compression_config: the weights are quantised with compressed-tensors"},
      {{{"quantization_config", {{"load_in_8bit", true}}}},
       "SCB",
       "/config.json: /quantization_config: the weights are quantised with bitsandbytes in 8 bits"},
      {{{"quantization", {{"group_size", 64}, {"bits", 4}}}},
       "scales",
       "/config.json: /quantization: the weights are quantised with mlx"},
      {Json::object(), "qweight",
       "/model.safetensors: \"model.layers.0.self_attn.q_proj.qweight\": the weights are quantised "
       "with gptq or awq"},
      {Json::object(), "W_q",
       "/model.safetensors: \"model.layers.0.self_attn.q_proj.W_q\": the weights are quantised "
       "with "
       "hqq"},
  };
  for (const auto& c : cases) {
    ModelFolder folder("llama_tied");
    folder.config.update(c.config);
    folder.tensor("model.layers.0.self_attn.q_proj.weight").name =
        "model.layers.0.self_attn.q_proj." + c.part;
    folder.write();
    EXPECT_EQ(folder.refusal(), c.sentence + instead);
  }
}

TEST(Quantisers, OfAConfigThatPlainFloatsContradictAreSaid) {
  for (const char* method : {"gptq", "bitsandbytes", "fp8"}) {
    ModelFolder folder("llama_tied");
    folder.config["quantization_config"] = {{"quant_method", method}};
    folder.write();
    folder.expect_golden_logits({str("/config.json: /quantization_config speaks of ", method,
                                     ", but the weights are plain floats, and are read so")});
  }
}

TEST(ConfigJson, MayHoldNumbersThatOnlyPythonWrites) {
  ModelFolder folder("llama_tied");
  folder.write();
  std::string text = folder.config.dump();
  text.insert(1, R"("spare": NaN, "range": [-Infinity, Infinity], "said": "NaN \" Infinity",)");
  write_file(folder.file("config.json"), text);
  folder.expect_golden_logits();
  folder.config.erase("rms_norm_eps");
  text = folder.config.dump();
  text.insert(1, R"("rms_norm_eps": NaN,)");
  write_file(folder.file("config.json"), text);
  EXPECT_EQ(folder.refusal(), "/config.json: /rms_norm_eps: expected a number, found nan");
}

TEST(ConfigJson, SettingsThatNobodyFollowsAreSaid) {
  const struct {
    Json config;
    std::string sentence;
  } cases[] = {
      {{{"sliding_window", 8}, {"max_position_embeddings", 64}},
       "sliding_window is left out: a Llama attends to all that came before, as in Transformers"},
      {{{"partial_rotary_factor", 0.5}},
       "partial_rotary_factor is left out: a Llama turns whole heads, as in Transformers"},
      {{{"eos_token_id", {2, 4096}}},
       "/eos_token_id: 4096 is not an id of the vocabulary, which has 128"},
      {{{"bos_token_id", -7}}, "/bos_token_id: -7 is not an id of the vocabulary, which has 128"},
  };
  for (const auto& c : cases) {
    ModelFolder folder("llama_tied");
    folder.config.update(c.config);
    folder.write();
    folder.expect_golden_logits({"/config.json: " + c.sentence});
  }
  ModelFolder quiet("llama_tied");
  quiet.config.update(
      {{"sliding_window", 8}, {"use_sliding_window", false}, {"pad_token_id", -1}, {"extra", {}}});
  quiet.write();
  quiet.expect_golden_logits();
}

TEST(NotFinite, IsNamedWithTensorAndCountWhereAsked) {
  ModelFolder folder("llama_tied");
  const std::span<float> up = folder.values("model.layers.1.mlp.up_proj.weight");
  up[5] = std::numeric_limits<float>::quiet_NaN();
  up[77] = -std::numeric_limits<float>::infinity();
  folder.write();
  EXPECT_EQ(folder.refusal(), "no error");
  EXPECT_EQ(folder.refusal(/*require_finite=*/true),
            str("/model.safetensors: \"model.layers.1.mlp.up_proj.weight\": 2 of its ", up.size(),
                " values are not finite (NaN or infinity): the file is damaged, or the model broke "
                "in its training"));
}

TEST(NotFinite, IsCountedInEveryFormat) {
  using kernels::MatrixFormat;
  const struct {
    MatrixFormat format;
    std::vector<i64> halves;  // where scales and offsets stand in a block
  } cases[] = {{MatrixFormat::kQ8_0, {0}},    {MatrixFormat::kQ4_0, {0}},
               {MatrixFormat::kQ4_1, {0, 2}}, {MatrixFormat::kQ5_0, {0}},
               {MatrixFormat::kQ5_1, {0, 2}}, {MatrixFormat::kQ4_K, {0, 2}},
               {MatrixFormat::kQ5_K, {0, 2}}, {MatrixFormat::kQ6_K, {208}},
               {MatrixFormat::kF16, {0}},     {MatrixFormat::kBf16, {0}}};
  for (const auto& c : cases) {
    const kernels::BlockSize block = kernels::block_size(c.format);
    constexpr i64 kBlocks = 70'000;  // some MiB: more than one task
    std::vector<std::byte> data(kBlocks * block.bytes);
    EXPECT_EQ(count_not_finite(c.format, data), 0);
    i64 at = 11;
    for (const i64 half : c.halves) {
      for (const u16 bits : {u16{0x7FC0}, u16{0xFF80}}) {  // NaN and -infinity of bf16; NaNs of f16
        std::memcpy(data.data() + at * block.bytes + half, &bits, sizeof bits);
        at += 17'001;
      }
    }
    EXPECT_EQ(count_not_finite(c.format, data),
              2 * static_cast<i64>(c.halves.size()) * block.values)
        << kernels::format_name(c.format);
  }
  std::vector<float> floats(300'000, 1e38F);
  floats[123'456] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(count_not_finite(MatrixFormat::kF32, std::as_bytes(std::span(floats))), 1);
}

}  // namespace
}  // namespace inlay
