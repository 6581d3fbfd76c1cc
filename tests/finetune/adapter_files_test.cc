// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "finetune/adapters/adapter.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/merge.h"
#include "tests/support/error_text.h"
#include "tests/support/golden.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_adapters.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

const std::vector<std::vector<i32>>& sequences() {
  static const std::vector<std::vector<i32>> ids = {random_ids(9, 29, 1), random_ids(4, 29, 2)};
  return ids;
}

// Factors that change something: both random, as `init_lora_weights: false` has them.
struct GoldenAdapter {
  const char* name;
  OrderedJson model;
  OrderedJson peft;
};

std::vector<GoldenAdapter> golden_adapters() {
  return {
      {"Lora", tiny_llama(), {{"r", 3}, {"lora_alpha", 5}}},
      {"Rslora", tiny_llama(), {{"r", 3}, {"lora_alpha", 5}, {"use_rslora", true}}},
      {"Dora", tiny_llama({{"attention_bias", true}}), {{"r", 3}, {"use_dora", true}}},
      {"EmbeddingAndHead",
       tiny_llama({{"tie_word_embeddings", false}}),
       {{"r", 2}, {"target_modules", {"embed_tokens", "lm_head", "v_proj"}}}},
      {"TiedEmbedding", tiny_llama(), {{"r", 2}, {"target_modules", {"embed_tokens"}}}},
      {"SavedWhole",
       tiny_llama({{"tie_word_embeddings", false}, {"mlp_bias", true}}),
       {{"r", 2},
        {"target_modules", {"q_proj"}},
        {"modules_to_save", {"norm", "lm_head", "embed_tokens", "down_proj"}}}},
      {"Patterns",
       tiny_llama(),
       {{"r", 4},
        {"target_modules", {"q_proj", "up_proj"}},
        {"layers_to_transform", {1}},
        {"rank_pattern", {{"q_proj", 1}}},
        {"alpha_pattern", {{".*\\.1\\.mlp\\..*", 2.5}}}}},
      {"Gpt2", tiny_gpt2(), {{"r", 3}, {"target_modules", {"c_attn", "mlp.c_proj", "wpe"}}}},
      {"Gpt2Dora", tiny_gpt2(), {{"r", 3}, {"use_dora", true}}},
  };
}

class AdapterFiles : public ::testing::TestWithParam<int> {
 protected:
  GoldenAdapter param() const { return golden_adapters()[GetParam()]; }
  std::string folder() const { return temp_.file("adapter"); }
  TempDirectory temp_;
};

TEST_P(AdapterFiles, ComeBackAsTheyWere) {
  LoadedModel before = make_tiny(param().model);
  const Tensor base = logits_of(*before.model, sequences());
  const Adapter saved = inject(before, random_factors(param().peft));
  const Tensor logits = logits_of(*before.model, sequences());
  EXPECT_GT(largest_difference(logits, base), 1e-3) << "the adapter changes nothing";
  save_adapter(folder(), saved, "some/base");

  LoadedModel after = make_tiny(param().model);
  const Adapter loaded = load_adapter(*after.model, folder());
  EXPECT_EQ(logits_of(*after.model, sequences()).to_vector(), logits.to_vector());
  EXPECT_EQ(loaded.parameters(), saved.parameters());
  EXPECT_EQ(adapter_table(loaded), adapter_table(saved));
  ASSERT_EQ(loaded.tensors.size(), saved.tensors.size());
  for (std::size_t i = 0; i < loaded.tensors.size(); ++i) {
    EXPECT_EQ(loaded.tensors[i].key, saved.tensors[i].key);
    EXPECT_EQ(loaded.tensors[i].value.to_vector(), saved.tensors[i].value.to_vector());
    EXPECT_FALSE(loaded.tensors[i].value.requires_grad()) << "loaded to be used, not trained";
  }
  // Saved again, every byte is the same.
  save_adapter(temp_.file("again"), loaded, "some/base");
  for (const char* name : {"/adapter_config.json", "/adapter_model.safetensors"}) {
    EXPECT_EQ(read_text(folder() + name), read_text(temp_.file("again") + name));
  }
}

// Folding s B A into a weight rounds once where the adapter adds two products: relative errors of
// 6e-8 a weight, of which two layers make up to 1.3e-6. merge_adapter itself checks with 1e-5.
TEST_P(AdapterFiles, MergeIntoTheirBase) {
  write_tiny(temp_.file("base"), param().model);
  LoadedModel adapted = make_tiny(param().model);
  save_adapter(folder(), inject(adapted, random_factors(param().peft)), "base");
  MergeOptions options;
  options.model = temp_.file("base");
  options.adapter = folder();
  options.out = temp_.file("merged");
  const MergeReport report = merge_adapter(options);
  EXPECT_LE(report.relative_difference, 5e-6);
  EXPECT_GT(report.positions, 0);
  const LoadedModel merged = load_model_at(options.out);
  EXPECT_TRUE(merged.notices.empty()) << merged.notices.front();
  EXPECT_LE(relative_difference(logits_of(*merged.model, sequences()),
                                logits_of(*adapted.model, sequences())),
            5e-6);
}

// Wrapped or not, a fresh adapter is no change: B (of embeddings: A) is zero, DoRA's m is |V|.
TEST_P(AdapterFiles, StartWhereTheBaseIs) {
  LoadedModel loaded = make_tiny(param().model);
  const Tensor base = logits_of(*loaded.model, sequences());
  inject(loaded, peft_config(param().peft));
  // DoRA multiplies by m / |V|, which may be 1 but for the last bit.
  EXPECT_LE(relative_difference(logits_of(*loaded.model, sequences()), base), 1e-6);
}

TEST_P(AdapterFiles, LeaveNothingElseTrainable) {
  LoadedModel loaded = make_tiny(param().model, {.trainable = true});
  const Adapter adapter = inject(loaded, peft_config(param().peft));
  i64 count = 0;
  for (const NamedTensor& p : trainable_parameters(*loaded.model)) {
    count += p.value.numel();
    EXPECT_TRUE(std::ranges::any_of(adapter.tensors, [&](const AdapterTensor& t) {
      return t.value.same_storage(p.value);
    })) << p.name;
  }
  EXPECT_EQ(count, adapter.parameters());
  loss_and_gradients(*loaded.model, random_examples({7, 5}, 29));
  for (const NamedTensor& p : parameters(*loaded.model)) {
    if (p.value.defined()) {
      EXPECT_EQ(p.value.grad().defined(), p.value.requires_grad()) << p.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, AdapterFiles, ::testing::Range(0, 9), [](const auto& instance) {
  return std::string(golden_adapters()[instance.param].name);
});

// One adapter on disk, to be bent.
class AdapterFile : public ::testing::Test {
 protected:
  AdapterFile() {
    LoadedModel loaded = make_tiny(tiny_llama());
    save_adapter(folder(),
                 inject(loaded, random_factors({{"r", 2},
                                                {"target_modules", {"q_proj", "embed_tokens"}},
                                                {"layers_to_transform", nullptr}})),
                 "base");
    logits_ = logits_of(*loaded.model, sequences());
    const SafetensorsFile file(tensors_path());
    for (const TensorEntry& entry : file.entries()) {
      tensors_[entry.name] = {
          *entry.dtype, entry.shape,
          std::string(reinterpret_cast<const char*>(entry.data.data()), entry.data.size())};
    }
  }

  struct Stored {
    DType dtype = DType::kF32;
    std::vector<i64> shape;
    std::string bytes;
  };

  std::string folder() const { return temp_.file("adapter"); }
  std::string tensors_path() const { return folder() + "/adapter_model.safetensors"; }
  std::string config_path() const { return folder() + "/adapter_config.json"; }

  static std::string key(const std::string& rest) { return "base_model.model.model." + rest; }
  static std::string q_proj(i64 layer, const std::string& factor) {
    return key("layers." + std::to_string(layer) + ".self_attn.q_proj.lora_" + factor + ".weight");
  }

  void write_tensors() const {
    std::vector<TensorToWrite> out;
    for (const auto& [name, t] : tensors_) {
      out.push_back({name, t.dtype, t.shape, std::as_bytes(std::span(t.bytes))});
    }
    write_safetensors(tensors_path(), std::move(out));
  }

  void rename(const std::string& from, const std::string& to) {
    tensors_[to] = tensors_.at(from);
    tensors_.erase(from);
  }

  Tensor load() const {
    LoadedModel loaded = make_tiny(tiny_llama());
    load_adapter(*loaded.model, folder());
    return logits_of(*loaded.model, sequences());
  }

  std::string load_error() const {
    write_tensors();
    return error_text<DataError>([&] { load(); });
  }

  void set_config(const std::string& key_name, const OrderedJson& value) const {
    OrderedJson json = OrderedJson::parse(read_text(config_path()));
    json[key_name] = value;
    write_file(config_path(), json.dump(2));
  }

  TempDirectory temp_;
  Tensor logits_;
  std::map<std::string, Stored> tensors_;
};

TEST_F(AdapterFile, NamesItsTensorsAsPeftDoes) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : tensors_) {
    names.push_back(name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{key("embed_tokens.base_layer.weight"),
                                             key("embed_tokens.lora_embedding_A"),
                                             key("embed_tokens.lora_embedding_B"), q_proj(0, "A"),
                                             q_proj(0, "B"), q_proj(1, "A"), q_proj(1, "B")}));
  EXPECT_EQ(tensors_[q_proj(0, "A")].shape, (std::vector<i64>{2, 12}));
  EXPECT_EQ(tensors_[q_proj(0, "B")].shape, (std::vector<i64>{12, 2}));
  EXPECT_EQ(tensors_[key("embed_tokens.lora_embedding_A")].shape, (std::vector<i64>{2, 29}));
  EXPECT_EQ(tensors_[key("embed_tokens.lora_embedding_B")].shape, (std::vector<i64>{12, 2}));
}

TEST_F(AdapterFile, SpellsItsConfigAsPeftDoes) {
  const OrderedJson json = OrderedJson::parse(read_text(config_path()));
  EXPECT_EQ(json["peft_type"], "LORA");
  EXPECT_EQ(json["task_type"], "CAUSAL_LM");
  EXPECT_EQ(json["base_model_name_or_path"], "base");
  EXPECT_EQ(json["r"], 2);
  EXPECT_EQ(json["lora_alpha"].dump(), "16");
  EXPECT_EQ(json["target_modules"], OrderedJson::array({"q_proj", "embed_tokens"}));
  EXPECT_EQ(json["fan_in_fan_out"], false);
  EXPECT_TRUE(json["modules_to_save"].is_null());
  EXPECT_EQ(json["rank_pattern"], OrderedJson::object());
  std::vector<std::string> keys;
  for (const auto& [name, value] : json.items()) {
    keys.push_back(name);
  }
  EXPECT_TRUE(std::ranges::is_sorted(keys));
}

TEST_F(AdapterFile, SpellsOutAllLinearAndSeesTransposedWeights) {
  LoadedModel loaded = make_tiny(tiny_gpt2());
  save_adapter(temp_.file("gpt2"), inject(loaded, peft_config({{"r", 2}})), "base");
  const OrderedJson json = OrderedJson::parse(read_text(temp_.file("gpt2/adapter_config.json")));
  EXPECT_EQ(json["target_modules"], OrderedJson::array({"c_attn", "c_fc", "c_proj"}));
  EXPECT_EQ(json["fan_in_fan_out"], true);
}

TEST_F(AdapterFile, TakesTheNamesThatOtherProgramsWrite) {
  const std::string plain = "model.layers.0.self_attn.q_proj.lora_A";
  rename(q_proj(0, "A"), plain + ".default.weight");
  rename(key("embed_tokens.lora_embedding_A"), key("embed_tokens.lora_embedding_A.default"));
  write_tensors();
  EXPECT_EQ(load().to_vector(), logits_.to_vector());
  tensors_[plain + ".weight"] = tensors_.at(plain + ".default.weight");
  EXPECT_EQ(load_error(), folder() + ": \"" + plain + ".default.weight\" and \"" + plain +
                              ".weight\" are two names of one tensor");
}

TEST_F(AdapterFile, ReadsHalfPrecision) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    for (auto& [name, t] : tensors_) {
      const Tensor source = Tensor::from_bytes(std::as_bytes(std::span(t.bytes)),
                                               Shape(std::span<const i64>(t.shape)), t.dtype);
      const Tensor half = source.to(DType::kF32).to(dtype);
      t.bytes.resize(half.bytes());
      half.copy_bytes_out(std::as_writable_bytes(std::span(t.bytes)));
      t.dtype = dtype;
    }
    write_tensors();
    EXPECT_LE(relative_difference(load(), logits_), 2e-2);  // bf16 keeps 8 bits
  }
}

TEST_F(AdapterFile, NeedsNoBaseTable) {
  tensors_.erase(key("embed_tokens.base_layer.weight"));
  write_tensors();
  EXPECT_EQ(load().to_vector(), logits_.to_vector());
}

TEST_F(AdapterFile, OfAnotherBaseTableIsNotTrainedOn) {
  const std::string name = key("embed_tokens.base_layer.weight");
  std::string& bytes = tensors_.at(name).bytes;
  const float other = 100.0F;
  std::memcpy(bytes.data() + (3 * 12 + 1) * sizeof other, &other, sizeof other);
  write_tensors();
  LoadedModel loaded = make_tiny(tiny_llama());
  const Adapter adapter =
      inject(loaded, peft_config({{"r", 2}, {"target_modules", {"q_proj", "embed_tokens"}}}));
  const std::string sentence =
      error_text<DataError>([&] { load_adapter_tensors(folder(), adapter); });
  EXPECT_EQ(sentence.rfind(tensors_path() + ": \"" + name +
                               "\", row 3: the saved base table is not this model's: found 100, "
                               "the model has ",
                           0),
            0U)
      << sentence;
  // Used, it brings its table along, as with PEFT, and says so.
  LoadedModel used = make_tiny(tiny_llama());
  EXPECT_EQ(load_adapter(*used.model, folder()).notices,
            std::vector<std::string>{tensors_path() + ": \"" + name +
                                     "\": differs from the model's own and takes its place"});
  tensors_.at(name).shape = {12, 29};
  EXPECT_EQ(load_error(), tensors_path() + ": \"" + name +
                              "\": expected [29, 12] f32, bf16 or f16, found [12, 29] f32");
}

TEST_F(AdapterFile, ListsWhatItLacksAndWhatIsTooMuch) {
  const auto all = tensors_;
  tensors_.erase(q_proj(1, "B"));
  EXPECT_EQ(load_error(), folder() +
                              ": the adapter lacks 1 tensor that its adapter_config.json calls "
                              "for: model.layers.1.self_attn.q_proj.lora_B.weight");
  tensors_.clear();
  tensors_[key("embed_tokens.lora_embedding_A")] = all.at(key("embed_tokens.lora_embedding_A"));
  EXPECT_EQ(load_error(),
            folder() +
                ": the adapter lacks 5 tensors that its adapter_config.json calls for: "
                "model.embed_tokens.lora_embedding_B, "
                "model.layers.0.self_attn.q_proj.lora_A.weight, "
                "model.layers.0.self_attn.q_proj.lora_B.weight, "
                "model.layers.1.self_attn.q_proj.lora_A.weight, "
                "model.layers.1.self_attn.q_proj.lora_B.weight");
  tensors_ = all;
  tensors_[key("layers.0.self_attn.k_proj.lora_A.weight")] = all.at(q_proj(0, "A"));
  EXPECT_EQ(load_error(), folder() + ": no place in this model for 1 tensor of the adapter: " +
                              key("layers.0.self_attn.k_proj.lora_A.weight"));
  for (int layer = 2; layer < 8; ++layer) {
    tensors_[q_proj(layer, "A")] = all.at(q_proj(0, "A"));
  }
  const std::string sentence = load_error();
  EXPECT_NE(sentence.find("no place in this model for 7 tensors of the adapter: "),
            std::string::npos);
  EXPECT_TRUE(sentence.ends_with(" and 2 more")) << sentence;
}

TEST_F(AdapterFile, RefusesWrongShapesAndTypes) {
  const std::string name = q_proj(0, "A");
  const Stored stored = tensors_.at(name);
  tensors_.at(name).shape = {12, 2};
  EXPECT_EQ(load_error(), tensors_path() + ": \"" + name +
                              "\": expected [2, 12] f32, bf16 or f16, found [12, 2] f32");
  tensors_[name] = {DType::kI32, {2, 12}, stored.bytes};
  EXPECT_EQ(load_error(), tensors_path() + ": \"" + name +
                              "\": expected [2, 12] f32, bf16 or f16, found [2, 12] i32");
  tensors_[name] = stored;
  set_config("r", 3);  // of another rank than the file
  EXPECT_NE(load_error().find("expected [3, 29] f32, bf16 or f16, found [2, 29] f32"),
            std::string::npos);
}

TEST_F(AdapterFile, IsForModelsOfItsSizesOnly) {
  LoadedModel other = make_tiny(tiny_llama({{"hidden_size", 16}}));
  const std::string sentence = error_text<DataError>([&] { load_adapter(*other.model, folder()); });
  EXPECT_NE(sentence.find("found [12, 2] f32"), std::string::npos) << sentence;
  LoadedModel gpt2 = make_tiny(tiny_gpt2());
  EXPECT_EQ(error_text<DataError>([&] { load_adapter(*gpt2.model, folder()); }),
            config_path() +
                ": /target_modules: \"q_proj\" matches no module of this model (did you mean "
                "\"c_proj\"?); it has wte, wpe, c_attn, c_proj, c_fc, lm_head");
}

TEST_F(AdapterFile, NeedsAConfigThatInlayComputes) {
  EXPECT_EQ(error_text<DataError>([&] { read_adapter_config(temp_.file("none")); }),
            temp_.file("none") + ": there is no such adapter folder");
  EXPECT_EQ(error_text<DataError>([&] { read_adapter_config(temp_.path()); }),
            temp_.path() + ": not an adapter folder: it has no adapter_config.json");
  const std::string good = read_text(config_path());
  const struct {
    const char* key;
    OrderedJson value;
  } wrong[] = {{"peft_type", "LOHA"},
               {"task_type", "SEQ_CLS"},
               {"bias", "some"},
               {"r", 0},
               {"lora_dropout", 1.0},
               {"target_modules", OrderedJson::array()},
               {"use_qalora", true},
               {"layer_replication", {{0, 1}}},
               {"some_new_method", true},
               {"init_lora_weights", "pissa"},
               {"lora_bias", "yes"},
               {"kasa_config", {{"a", 1}}},
               {"alora_invocation_tokens", {1}},
               {"arrow_config", {{"a", 1}}},
               {"target_parameters", 3},
               {"trainable_token_indices", {"a"}},
               {"trainable_token_indices", -1},
               {"trainable_token_indices", {{"embed_tokens", 3}}},
               {"layers_pattern", "layers"}};
  for (const auto& c : wrong) {
    write_file(config_path(), good);
    set_config(c.key, c.value);
    const std::string sentence = error_text<DataError>([&] { read_adapter_config(folder()); });
    EXPECT_EQ(sentence.rfind(config_path() + ": /" + c.key, 0), 0U) << sentence;
  }
  write_file(config_path(), good);
  set_config("some_new_method", nullptr);  // off: as if it were not there
  EXPECT_EQ(read_adapter_config(folder()).r, 2);
}

TEST(InjectAdapter, RefusesWhatItCannotWrap) {
  const struct {
    OrderedJson peft;
    std::string sentence;
  } wrong[] = {
      {{{"use_dora", true}, {"target_modules", {"embed_tokens"}}},
       "/peft/use_dora: DoRA on an embedding (model.embed_tokens) is not supported"},
      {{{"target_modules", "all-linear"}, {"exclude_modules", ".*"}},
       "/peft/target_modules: no module of this model matches"},
  };
  for (const auto& c : wrong) {
    LoadedModel loaded = make_tiny(tiny_llama());
    EXPECT_EQ(error_text<ConfigError>([&] {
                inject_adapter(*loaded.model, peft_config(c.peft), {.key = RandomKey(1)});
              }),
              c.sentence);
  }
}

// As PEFT 0.21.2 names and shapes them (tests/peers/peft_both_ways.py compares whole adapters).
TEST(InjectAdapter, HasPeftsTensorsForParametersOfExpertsAndRouters) {
  const struct {
    const char *fixture, *experts, *router;  // in a layer; no router: it is a linear layer
    i64 count, width;                        // of the experts
  } cases[] = {
      {"gpt_oss", "mlp.experts", "mlp.router", 4, 16},
      {"olmoe", "mlp.experts", "mlp.gate", 6, 12},
      {"gemma4_moe", "experts", nullptr, 4, 12},
      {"granitemoeshared", "block_sparse_moe.experts", "block_sparse_moe.router", 4, 12},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.fixture);
    LoadedModel loaded = load_model_at(golden(str("models/families/", c.fixture)));
    std::vector<std::string> parameters = {"experts.down_proj", "experts.gate_up_proj"};
    if (c.router != nullptr) {
      parameters.push_back(
          str(std::string(c.router).substr(std::string(c.router).find('.') + 1), ".weight"));
    }
    const Adapter adapter =
        inject(loaded, peft_config({{"r", 2},
                                    {"target_modules", OrderedJson::array({"q_proj"})},
                                    {"target_parameters", parameters}}));
    std::map<std::string, Shape> found;
    const std::string layer = "model.layers.1.";
    for (const AdapterTensor& t : adapter.tensors) {
      if (t.key.starts_with(layer) && t.key.find("self_attn") == std::string::npos) {
        found.emplace(t.key.substr(layer.size()), t.value.shape());
      }
    }
    const std::string experts = c.experts;
    std::map<std::string, Shape> expected = {
        {experts + ".base_layer.lora_A.weight", {2 * c.count, 32}},
        {experts + ".base_layer.lora_B.weight", {2 * c.width, 2 * c.count}},
        {experts + ".lora_A.weight", {2 * c.count, c.width}},
        {experts + ".lora_B.weight", {32, 2 * c.count}}};
    if (c.router != nullptr) {
      expected.emplace(str(c.router, ".lora_A.weight"), Shape{2, 32});
      expected.emplace(str(c.router, ".lora_B.weight"), Shape{c.count, 2});
    }
    EXPECT_TRUE(found == expected);
    for (const auto& [name, shape] : found) {
      EXPECT_TRUE(expected.contains(name)) << name;
    }
  }
}

// As PEFT writes it where nothing else is adapted: an empty list, or null.
TEST(FinishedAdapter, MayBeOnParametersOfExpertsAlone) {
  const TempDirectory place;
  for (const char* fixture : {"gpt_oss", "olmoe", "gemma4_moe", "granitemoeshared"}) {
    SCOPED_TRACE(fixture);
    const std::string folder = golden(str("models/families/", fixture));
    LoadedModel trained = load_model_at(folder);
    const Adapter adapter =
        inject(trained, peft_config({{"r", 2},
                                     {"init_lora_weights", false},
                                     {"target_modules", OrderedJson::array()},
                                     {"target_parameters", {"experts.gate_up_proj"}}}));
    EXPECT_EQ(adapter.tensors.size(), 4U);
    const std::string written = place.file(fixture);
    save_adapter(written, adapter, "base");
    const std::vector<float> expected = logits_of(*trained.model, sequences()).to_vector();
    for (const OrderedJson& targets : {OrderedJson::array(), OrderedJson(nullptr)}) {
      const std::string file = written + "/adapter_config.json";
      OrderedJson config = OrderedJson::parse(read_text(file));
      config["target_modules"] = targets;
      write_file(file, config.dump());
      LoadedModel loaded = load_model_at(folder);
      load_adapter(*loaded.model, written);
      EXPECT_EQ(logits_of(*loaded.model, sequences()).to_vector(), expected);
    }
  }
}

TEST(InjectAdapter, UpdatesOfParametersHaveNeitherDropoutNorMagnitudes) {
  const struct {
    OrderedJson key;
    const char *target, *sentence;
  } cases[] = {
      {{{"use_dora", true}},
       "experts.down_proj",
       "/peft/use_dora: the update of model.layers.0.mlp.experts.down_proj, one of "
       "target_parameters, has none, as in PEFT"},
      {{{"lora_dropout", 0.1}},
       "gate.weight",
       "/peft/lora_dropout: the update of model.layers.0.mlp.gate.weight, one of "
       "target_parameters, has none, as in PEFT"},
  };
  for (const auto& c : cases) {
    LoadedModel loaded = load_model_at(golden("models/families/olmoe"));
    OrderedJson peft = c.key;
    peft["target_modules"] = OrderedJson::array({"q_proj"});
    peft["target_parameters"] = OrderedJson::array({c.target});
    EXPECT_EQ(error_text<ConfigError>(
                  [&] { inject_adapter(*loaded.model, peft_config(peft), {.key = RandomKey(1)}); }),
              c.sentence);
  }
}

TEST(InjectAdapter, DrawsTheFactorsOfAModuleByItsNameAlone) {
  LoadedModel whole = make_tiny(tiny_llama());
  LoadedModel part = make_tiny(tiny_llama());
  const Adapter all = inject(whole, peft_config({{"r", 2}}));
  const Adapter one = inject(part, peft_config({{"r", 2}, {"target_modules", {"up_proj"}}}));
  for (const AdapterTensor& t : one.tensors) {
    const auto it = std::ranges::find(all.tensors, t.key, &AdapterTensor::key);
    ASSERT_NE(it, all.tensors.end()) << t.key;
    EXPECT_EQ(it->value.to_vector(), t.value.to_vector()) << t.key;
  }
}

TEST(LoadAdapter, AddsOneToAnotherByWeight) {
  const TempDirectory temp;
  const std::string folder = temp.file("adapter");
  LoadedModel one = make_tiny(tiny_llama());
  const Tensor base = logits_of(*one.model, sequences());
  save_adapter(folder, inject(one, random_factors({{"r", 2}})), "base");
  LoadedModel halves = make_tiny(tiny_llama());
  load_adapter(*halves.model, folder, 0.5);
  load_adapter(*halves.model, folder, 0.5);
  // Two halves of an update are the update, and it and its opposite are none, but for rounding.
  EXPECT_LE(relative_difference(logits_of(*halves.model, sequences()),
                                logits_of(*one.model, sequences())),
            1e-5);
  LoadedModel none = make_tiny(tiny_llama());
  load_adapter(*none.model, folder, 1.0);
  load_adapter(*none.model, folder, -1.0);
  EXPECT_LE(relative_difference(logits_of(*none.model, sequences()), base), 1e-5);
}

// The file holds the model's own tables, and the second adapter meets those of the first.
TEST(LoadAdapter, AddsOneToAnotherWhereBothAdaptTheTables) {
  const OrderedJson untied = tiny_llama({{"tie_word_embeddings", false}});
  const TempDirectory temp;
  const std::string folder = temp.file("adapter");
  LoadedModel one = make_tiny(untied);
  save_adapter(
      folder,
      inject(one, random_factors({{"r", 2}, {"target_modules", {"embed_tokens", "lm_head"}}})),
      "base");
  LoadedModel halves = make_tiny(untied);
  load_adapter(*halves.model, folder, 0.5);
  const Adapter second = load_adapter(*halves.model, folder, 0.5);
  EXPECT_LE(relative_difference(logits_of(*halves.model, sequences()),
                                logits_of(*one.model, sequences())),
            1e-5);  // two halves rounded and added
  save_adapter(temp.file("second"), second, "base");
  EXPECT_EQ(read_text(temp.file("second/adapter_model.safetensors")),
            read_text(folder + "/adapter_model.safetensors"));
}

TEST(InjectAdapter, StartsTheFactorsAsTheConfigSays) {
  const auto factor = [](const OrderedJson& init, const std::string& end) {
    LoadedModel loaded = make_tiny(tiny_llama({{"hidden_size", 64}, {"intermediate_size", 128}}));
    const Adapter adapter = inject(loaded, peft_config({{"r", 16}, {"init_lora_weights", init}}));
    const auto it = std::ranges::find_if(
        adapter.tensors, [&](const AdapterTensor& t) { return t.key.ends_with(end); });
    return it->value.to_vector();
  };
  const auto deviation = [](const std::vector<float>& v) {
    double squares = 0.0;
    for (const float x : v) {
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    return std::sqrt(squares / static_cast<double>(v.size()));
  };
  const std::string a = "0.mlp.up_proj.lora_A.weight";
  const std::string b = "0.mlp.up_proj.lora_B.weight";
  // Uniform in +-1/8, so of deviation 1/8/sqrt(3); 1024 draws are within 5 % of it.
  const std::vector<float> kaiming = factor(true, a);
  EXPECT_NEAR(deviation(kaiming), 0.0722, 0.0036);
  EXPECT_LE(std::ranges::max(kaiming), 0.125F);
  EXPECT_GE(std::ranges::min(kaiming), -0.125F);
  EXPECT_EQ(deviation(factor(true, b)), 0.0);
  // Normal, of deviation 1/16; 1024 draws are within 10 %.
  EXPECT_NEAR(deviation(factor("gaussian", a)), 0.0625, 0.00625);
  EXPECT_EQ(deviation(factor("gaussian", b)), 0.0);
  EXPECT_NEAR(deviation(factor(false, a)), 0.0722, 0.0036);
  EXPECT_NEAR(deviation(factor(false, b)), 0.144, 0.0072);  // fan in 16: +-1/4
}

}  // namespace
}  // namespace inlay
