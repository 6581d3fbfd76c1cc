// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/merge.h"
#include "tests/support/error_text.h"
#include "tests/support/golden.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

// tests/golden/adapters: what PEFT saved, and its logits.
const OrderedJson& golden_cases() {
  static const OrderedJson json =
      parse_ordered_json(read_text(golden("adapters/cases.json")), "cases.json");
  return json;
}

const SafetensorsFile& golden_tensors() {
  static const SafetensorsFile file(golden("adapters/adapters.safetensors"));
  return file;
}

std::string base_of(const std::string& name) {
  return golden("adapters/" + name);
}

const OrderedJson& case_named(const std::string& name) {
  for (const OrderedJson& c : golden_cases()["cases"]) {
    if (c["name"] == name) {
      return c;
    }
  }
  throw std::out_of_range(name);
}

/// A golden adapter as a folder, whose tensors and config a test may change.
struct AdapterOnDisk {
  explicit AdapterOnDisk(const std::string& name) : json(case_named(name)) {
    config = json["config"];
    const std::string prefix = name + "/";
    for (const TensorEntry& e : golden_tensors().entries()) {
      if (e.name.starts_with(prefix) && e.name != prefix + "logits") {
        tensors[e.name.substr(prefix.size())] = {
            *e.dtype, e.shape,
            std::string(reinterpret_cast<const char*>(e.data.data()), e.data.size())};
      }
    }
  }

  std::string write() const {
    const std::string path = temp.file("adapter");
    make_directories(path);
    std::vector<TensorToWrite> out;
    for (const auto& [key, t] : tensors) {
      out.push_back({key, t.dtype, t.shape, std::as_bytes(std::span(t.bytes))});
    }
    write_safetensors(path + "/adapter_model.safetensors", std::move(out));
    write_file(path + "/adapter_config.json", config.dump(1));
    return path;
  }

  std::string base() const { return base_of(json["base"]); }
  void rename(const std::string& from, const std::string& to) {
    tensors[to] = tensors.at(from);
    tensors.erase(from);
  }

  struct Stored {
    DType dtype = DType::kF32;
    std::vector<i64> shape;
    std::string bytes;
  };
  OrderedJson json, config;
  std::map<std::string, Stored> tensors;
  TempDirectory temp;
};

MergeOptions merging(const std::string& model, const std::string& adapter, const std::string& out) {
  MergeOptions options;
  options.model = model;
  options.adapter = adapter;
  options.out = out;
  return options;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const OrderedJson& c : golden_cases()["cases"]) {
    names.push_back(c["name"]);
  }
  return names;
}

class AdapterOfPeft : public ::testing::TestWithParam<std::string> {
 protected:
  // Four matrices deep, sums of 8 to 32 products of numbers around 1: measured at most 2e-6.
  static constexpr double kLogits = 2e-5;

  static Tensor logits(const LoadedModel& loaded) {
    return logits_of(*loaded.model, {golden_cases()["ids"].get<std::vector<i32>>()});
  }
  static Tensor expected() {
    return StoredTensors(golden("adapters/adapters.safetensors")).floats(GetParam() + "/logits");
  }
};

TEST_P(AdapterOfPeft, GivesTheLogitsOfPeft) {
  const AdapterOnDisk adapter(GetParam());
  LoadedModel loaded = load_model_at(adapter.base());
  EXPECT_GT(largest_difference(logits(loaded), expected()), 0.01) << "the adapter changes nothing";
  const Adapter used = load_adapter(*loaded.model, adapter.write());
  EXPECT_LE(largest_difference(logits(loaded), expected()), kLogits);
  EXPECT_EQ(used.not_finite, "");
  // Said is what takes the place of the base though no module was to be saved, and what was
  // renamed.
  const bool says =
      GetParam().starts_with("own_") || GetParam() == "tied_saved" || GetParam() == "headless";
  EXPECT_EQ(!used.notices.empty(), says) << (says ? "" : used.notices.front());
}

// A pass without adapters is one of the base, but for what took the base's place: whole modules,
// biases of layers that have no adapter, and tables that the adapter's file brings.
TEST_P(AdapterOfPeft, SwitchedOffLeavesTheBitsOfTheBase) {
  const AdapterOnDisk adapter(GetParam());
  const OrderedJson& saved = adapter.config["modules_to_save"];
  if (!saved.empty() || adapter.config["bias"] == "all" || GetParam().starts_with("own_")) {
    GTEST_SKIP() << "takes the base's place";
  }
  LoadedModel loaded = load_model_at(adapter.base());
  const std::vector<float> base = logits(loaded).to_vector();
  const Adapter used = load_adapter(*loaded.model, adapter.write());
  EXPECT_NE(logits(loaded).to_vector(), base);
  PackedTokens tokens;
  tokens.append(golden_cases()["ids"].get<std::vector<i32>>());
  Pass pass;
  pass.tokens = &tokens;
  pass.adapters = false;
  const NoGrad guard;
  EXPECT_EQ(loaded.model->logits(loaded.model->hidden(pass), pass).to_vector(), base);
}

TEST_P(AdapterOfPeft, MergesIntoItsBase) {
  const AdapterOnDisk adapter(GetParam());
  const TempDirectory temp;
  const MergeOptions options = merging(adapter.base(), adapter.write(), temp.file("merged"));
  if (GetParam() == "lora_bias_alone") {
    EXPECT_EQ(error_text<DataError>([&] { merge_adapter(options); }),
              options.adapter +
                  ": lora_bias trained a bias for model.layers.0.self_attn.q_proj, and the model's "
                  "layer has none to merge it into");
    EXPECT_FALSE(exists(options.out));
    return;
  }
  merge_adapter(options);
  const LoadedModel merged = load_model_at(options.out);
  EXPECT_TRUE(merged.notices.empty()) << merged.notices.front();
  EXPECT_LE(largest_difference(logits(merged), expected()), kLogits);
}

INSTANTIATE_TEST_SUITE_P(, AdapterOfPeft, ::testing::ValuesIn(case_names()),
                         [](const auto& instance) { return instance.param; });

// How an adapter was changed, and what is said of it after its folder's name.
struct Refusal {
  const char* adapter;
  std::function<void(AdapterOnDisk&)> change;
  std::string sentence;  // {} stands for the folder
};

const std::string kQ0 = "base_model.model.model.layers.0.self_attn.q_proj.";

std::vector<Refusal> refusals() {
  const auto set = [](const char* key, OrderedJson value) {
    return [=](AdapterOnDisk& a) { a.config[key] = value; };
  };
  const auto init = [&](const char* word) {
    return Refusal{"gaussian", set("init_lora_weights", word),
                   std::string("{}/adapter_config.json: /init_lora_weights: \"") + word +
                       "\" changed the base's weights when the training began"};
  };
  return {
      init("pissa"),
      init("pissa_niter_4"),
      init("olora"),
      init("corda"),
      init("loftq"),
      init("lora_ga"),
      {"gaussian", set("init_lora_weights", "kaiming"),
       "{}/adapter_config.json: /init_lora_weights: expected true, false, \"gaussian\""},
      {"gaussian", set("some_new_method", true),
       "{}/adapter_config.json: /some_new_method: unknown key"},
      {"gaussian", set("enable_lora", OrderedJson::array({true, false, true})),
       "{}/adapter_config.json: /enable_lora: unknown key"},
      {"gaussian", set("alora_invocation_tokens", OrderedJson::array({5})),
       "{}/adapter_config.json: /alora_invocation_tokens: expected null, found a list: activated "
       "LoRA is not supported"},
      {"tokens", set("trainable_token_indices", OrderedJson::array({1, 3, 24})),
       "{}/adapter_config.json: /trainable_token_indices: 24 is no row of model.embed_tokens, "
       "which "
       "has 24"},
      {"tokens", set("trainable_token_indices", OrderedJson::array({1, 3})),
       "{}/adapter_model.safetensors: "
       "\"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta\": expected [2, "
       "8] f32, bf16 or f16, found [3, 8] f32"},
      {"tokens", set("trainable_token_indices", nullptr),
       "{}: no place in this model for 1 tensor of the adapter: "
       "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"},
      {"patterns", set("trainable_token_indices", OrderedJson::array({1})),
       "{}: the adapter lacks 1 tensor that its adapter_config.json calls for: "
       "model.embed_tokens.token_adapter.trainable_tokens_delta"},
      {"lora_bias", set("lora_bias", false),
       "{}: no place in this model for 4 tensors of the adapter: "
       "base_model.model.model.layers.0.mlp.up_proj.lora_B.bias"},
      {"patterns", set("lora_bias", true),
       "{}: the adapter lacks 4 tensors that its adapter_config.json calls for: "
       "model.layers.0.self_attn.q_proj.lora_B.bias"},
      {"patterns", set("use_dora", true),
       "{}: the adapter lacks 4 tensors that its adapter_config.json calls for: "
       "model.layers.0.self_attn.q_proj.lora_magnitude_vector"},
      {"patterns", set("modules_to_save", OrderedJson::array({"lm_head", "mlp.down_proj"})),
       "{}: the adapter lacks 3 tensors that its adapter_config.json calls for: "
       "model.layers.0.mlp.down_proj.weight, model.layers.1.mlp.down_proj.weight, lm_head.weight"},
      {"patterns", set("exclude_modules", OrderedJson::array({"up_proj"})),
       "{}: no place in this model for 4 tensors of the adapter: "
       "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"},
      {"patterns", [](AdapterOnDisk& a) { a.tensors.erase(kQ0 + "lora_B.weight"); },
       "{}: the adapter lacks 1 tensor that its adapter_config.json calls for: "
       "model.layers.0.self_attn.q_proj.lora_B.weight"},
      {"patterns",
       [](AdapterOnDisk& a) {
         a.tensors[kQ0 + "base_layer.bias"] = {DType::kF32, {8}, std::string(32, '\0')};
       },
       "{}: no place in this model for 1 tensor of the adapter: " + kQ0 + "base_layer.bias"},
      {"patterns",
       [](AdapterOnDisk& a) {
         a.tensors.at(kQ0 + "lora_A.weight").shape = {1, 1, 1, 1, 1, 1, 1, 8};
       },
       "{}/adapter_model.safetensors: \"" + kQ0 +
           "lora_A.weight\": expected [1, 8] f32, bf16 or f16, found [1, 1, 1, 1, 1, 1, 1, 8] f32"},
      {"tables",
       [](AdapterOnDisk& a) {
         AdapterOnDisk::Stored& table = a.tensors.at("base_model.model.model.embed_tokens.weight");
         table.shape[0] += 2;
         table.bytes.resize(table.bytes.size() + 64);
       },
       "{}/adapter_model.safetensors: \"base_model.model.model.embed_tokens.weight\": has 26 rows "
       "and the model's table 24: the adapter was trained over a model whose vocabulary had been "
       "resized; resize the base to 26 tokens first"},
      {"saved_conv1d_fused",
       [](AdapterOnDisk& a) {
         a.tensors.at("base_model.model.transformer.h.0.attn.c_attn.weight").shape = {24, 8};
       },
       "{}/adapter_model.safetensors: \"base_model.model.transformer.h.0.attn.c_attn.weight\": "
       "expected [8, 24] f32, bf16 or f16, found [24, 8] f32"},
      {"tables_and_saved",
       [](AdapterOnDisk& a) {
         a.tensors["model.embed_tokens.weight"] =
             a.tensors.at("base_model.model.model.embed_tokens.weight");
       },
       "{}: \"base_model.model.model.embed_tokens.weight\" and \"model.embed_tokens.weight\" are "
       "two names of one tensor"},
  };
}

TEST(FinishedAdapterFile, IsRefusedInOneSentence) {
  for (const Refusal& r : refusals()) {
    AdapterOnDisk adapter(r.adapter);
    r.change(adapter);
    const std::string folder = adapter.write();
    std::string expected = r.sentence;
    for (std::size_t at = expected.find("{}"); at != std::string::npos; at = expected.find("{}")) {
      expected.replace(at, 2, folder);
    }
    LoadedModel loaded = load_model_at(adapter.base());
    const std::string found = error_text<DataError>([&] { load_adapter(*loaded.model, folder); });
    EXPECT_EQ(found.substr(0, expected.size()), expected);
    EXPECT_EQ(found.find('\n'), std::string::npos) << found;
  }
}

// Saved by earlier versions of inlay, which took modules_to_save "norm" for model.norm alone.
TEST(FinishedAdapterFile, NeedsOfModulesSavedOnlyThoseItNamesInWholeParts) {
  AdapterOnDisk adapter("saved_norms");
  for (const char* layer : {"0", "1"}) {
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
      adapter.tensors.erase(std::string("base_model.model.model.layers.") + layer + "." + norm +
                            ".weight");
    }
  }
  LoadedModel loaded = load_model_at(adapter.base());
  EXPECT_EQ(load_adapter(*loaded.model, adapter.write()).modules.back().path, "model.norm");
  adapter.tensors.erase("base_model.model.model.norm.weight");
  LoadedModel other = load_model_at(adapter.base());
  const std::string folder = adapter.write();
  EXPECT_EQ(error_text<DataError>([&] { load_adapter(*other.model, folder); }),
            folder +
                ": the adapter lacks 1 tensor that its adapter_config.json calls for: "
                "model.norm.weight");
}

TEST(FinishedAdapterFile, TellsOfValuesThatAreNotFinite) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    AdapterOnDisk adapter("tokens");
    const std::string key =
        "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
    std::memcpy(adapter.tensors.at(key).bytes.data() + 5 * sizeof bad, &bad, sizeof bad);
    const std::string folder = adapter.write();
    const std::string sentence = folder + "/adapter_model.safetensors: \"" + key +
                                 "\": value 5 of 24 is " + (bad == bad ? "infinite" : "nan");
    LoadedModel loaded = load_model_at(adapter.base());
    EXPECT_EQ(load_adapter(*loaded.model, folder).not_finite, sentence);
    const TempDirectory temp;
    EXPECT_EQ(error_text<DataError>(
                  [&] { merge_adapter(merging(adapter.base(), folder, temp.file("out"))); }),
              sentence + ": an adapter to merge must hold numbers");
    EXPECT_FALSE(exists(temp.file("out")));
  }
}

// What a run writes with a short name must be what PEFT asks for under that name: every module
// whose path ends so (its KeyError is "peft 0.21: modules_to_save").
TEST(SavedModules, AreAllThatPeftLooksFor) {
  const struct {
    const char* base;
    const char* target;
    std::vector<std::string> saved;
    const char* like;  // a golden adapter with these modules_to_save
  } cases[] = {
      {"llama", "q_proj", {"norm"}, "saved_norms"},
      {"llama", "q_proj", {"mlp"}, "saved_container"},
      {"gpt2", "c_fc", {"proj"}, "saved_conv1d_by_end"},
      {"gpt2", "c_fc", {"c_attn"}, "saved_conv1d_fused"},
      {"gpt2", "c_attn", {"mlp.c_proj", "ln_f", "wpe"}, "saved_conv1d"},
      {"gpt2", "c_attn", {"0"}, "saved_block"},
  };
  for (const auto& c : cases) {
    LoadedModel loaded = load_model_at(base_of(c.base));
    PeftConfig config;
    config.r = 2;
    config.target_modules = std::vector<std::string>{c.target};
    config.modules_to_save = c.saved;
    const Adapter adapter = inject_adapter(*loaded.model, config, {.key = RandomKey(1)});
    const TempDirectory temp;
    save_adapter(temp.file("adapter"), adapter, "base");
    const SafetensorsFile written(temp.file("adapter/adapter_model.safetensors"));
    std::map<std::string, std::vector<i64>> found;
    for (const TensorEntry& e : written.entries()) {
      found[e.name] = e.shape;
    }
    std::map<std::string, std::vector<i64>> expected;
    for (const auto& [key, t] : AdapterOnDisk(c.like).tensors) {
      expected[key] = t.shape;
    }
    EXPECT_EQ(found, expected) << c.like;
  }
}

}  // namespace
}  // namespace inlay
