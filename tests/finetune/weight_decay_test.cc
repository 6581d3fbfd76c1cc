// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "finetune/adapters/adapter.h"
#include "finetune/trainer.h"
#include "tests/support/golden.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/tiny_adapters.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

using Names = std::set<std::string>;

// The trained parameters that the Trainer does, or does not, let decay.
Names trained(LoadedModel& loaded, bool decaying, const TrainerOptions& options = {}) {
  const BatchSchedule schedule({.rows = 1, .batch_size = 1});
  const std::vector<Example> rows = random_examples({4}, 29);
  const Trainer trainer(*loaded.model, schedule, rows, {}, options);
  Names out;
  for (const Parameter& p : trainer.parameters()) {
    if (p.decays == decaying) {
      out.insert(p.name);
    }
  }
  return out;
}

class WeightDecay : public ::testing::TestWithParam<const char*> {
 protected:
  std::string folder() const { return golden(std::string("models/") + GetParam()); }
  OrderedJson expected() const {
    return parse_ordered_json(read_text(folder() + "/weight_decay.json"), "weight_decay.json");
  }

  std::vector<double> losses(const OrderedJson& training) const {
    const StoredTensors data(folder() + "/lora_data.safetensors");
    std::vector<OrderedJson> rows;
    for (i64 b = 0; b < 4; ++b) {
      const auto ids = data.rows("input_ids_" + std::to_string(b));
      const auto labels = data.rows("labels_" + std::to_string(b));
      for (std::size_t r = 0; r < ids.size(); ++r) {
        rows.push_back({{"input_ids", ids[r]}, {"labels", labels[r]}});
      }
    }
    const TempDirectory temp;
    write_lines(temp.file("rows.jsonl"), rows);
    const OrderedJson golden_run = expected();
    OrderedJson json;
    json["model"] = {{"model_name_or_path", folder()}};
    json["data"] = {{"train", temp.file("rows.jsonl")}, {"format", "tokens"}, {"shuffle", false}};
    json["training"] = {{"max_steps", golden_run["steps"]},
                        {"per_device_train_batch_size", 2},
                        {"learning_rate", golden_run["lr"]},
                        {"lr_scheduler_type", golden_run["scheduler"]},
                        {"weight_decay", golden_run["weight_decay"]},
                        {"compute_dtype", "f32"}};
    json["training"].update(training);
    json["save"] = {{"output_dir", temp.file("run")}};
    RecordingListener listener;
    run_training(read_run_config(temp, json), {}, listener);
    std::vector<double> out;
    for (const StepMetrics& m : listener.steps) {
      out.push_back(m.loss);
    }
    return out;
  }
};

TEST_P(WeightDecay, FollowsTheLossesOfTransformersTrainer) {
  const OrderedJson golden_run = expected();
  const std::vector<double> found = losses(OrderedJson::object());
  ASSERT_EQ(found.size(), golden_run["losses"].size());
  for (std::size_t s = 0; s < found.size(); ++s) {
    // A learning rate of 0.01 spreads roundings more than that of golden_run_test.cc does.
    EXPECT_NEAR(found[s], golden_run["losses"][s].get<double>(), 5e-5) << "step " << s + 1;
  }
  const std::vector<double> all = losses({{"weight_decay_on", "all"}});
  EXPECT_EQ(all[0], found[0]);
  EXPECT_GT(std::abs(all.back() - found.back()), 1e-3) << "as if the setting had no effect";
}

TEST_P(WeightDecay, PassesOverWhatTransformersTrainerPassesOver) {
  LoadedModel loaded = load_model_at(folder(), true);
  const OrderedJson json = expected();
  EXPECT_EQ(trained(loaded, false), json["not_decayed"].get<Names>());
  TrainerOptions all;
  all.decay_norms_and_biases = true;
  EXPECT_EQ(trained(loaded, false, all), Names());
}

INSTANTIATE_TEST_SUITE_P(, WeightDecay,
                         ::testing::Values("gpt2", "llama_tied", "llama_untied_bias_headdim"),
                         [](const auto& instance) { return std::string(instance.param); });

// By Trainer.get_decay_parameter_names of a PEFT model: factors and magnitudes decay, and of what
// is saved whole the weights that are no norm's.
TEST(WeightDecayOfAdapters, IsForAllButNormsAndBiases) {
  const struct {
    OrderedJson model, peft;
    Names decays, stays;
  } cases[] = {
      {tiny_gpt2({{"n_layer", 1}}),
       {{"target_modules", {"c_attn"}},
        {"use_dora", true},
        {"modules_to_save", {"ln_f", "mlp.c_proj"}}},
       {"transformer.h.0.attn.c_attn.lora_A.weight", "transformer.h.0.attn.c_attn.lora_B.weight",
        "transformer.h.0.attn.c_attn.lora_magnitude_vector", "transformer.h.0.mlp.c_proj.weight"},
       {"transformer.h.0.mlp.c_proj.bias", "transformer.ln_f.weight", "transformer.ln_f.bias"}},
      {tiny_llama({{"num_hidden_layers", 1}, {"tie_word_embeddings", false}}),
       {{"target_modules", {"q_proj", "embed_tokens"}},
        {"modules_to_save", {"model.norm", "lm_head"}}},
       {"model.embed_tokens.lora_embedding_A", "model.embed_tokens.lora_embedding_B",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.layers.0.self_attn.q_proj.lora_B.weight", "lm_head.weight"},
       {"model.norm.weight"}},
      {tiny_llama({{"num_hidden_layers", 1}, {"mlp_bias", true}}),
       {{"target_modules", {"q_proj"}},
        {"modules_to_save", {"down_proj", "post_attention_layernorm"}}},
       {"model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.layers.0.self_attn.q_proj.lora_B.weight", "model.layers.0.mlp.down_proj.weight"},
       {"model.layers.0.mlp.down_proj.bias", "model.layers.0.post_attention_layernorm.weight"}},
  };
  for (const auto& c : cases) {
    LoadedModel loaded = make_tiny(c.model);
    inject(loaded, peft_config(c.peft));
    EXPECT_EQ(trained(loaded, true), c.decays) << c.peft;
    EXPECT_EQ(trained(loaded, false), c.stays) << c.peft;
  }
}

}  // namespace
}  // namespace inlay
