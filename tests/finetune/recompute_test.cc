// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/memory/memory.h"
#include "core/parallel.h"
#include "finetune/adapters/adapter.h"
#include "nn/linear.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

struct RecomputedModel {
  const char* name;
  Json model;
  Json peft;  // null: full training
  bool quantize = false;
};

Json random_lora(const Json& more = Json::object()) {
  Json json = {{"r", 3}, {"init_lora_weights", false}, {"target_modules", "all-linear"}};
  json.update(more);
  return json;
}

std::vector<RecomputedModel> recomputed_models() {
  const Json llama = tiny_llama({{"num_hidden_layers", 3}});
  const Json gpt2 = tiny_gpt2({{"n_layer", 3}, {"resid_pdrop", 0.1}, {"attn_pdrop", 0.1}});
  return {
      {"LlamaFull", llama, {}},
      {"LlamaLora", llama, random_lora()},
      {"LlamaLoraWithDropout", llama, random_lora({{"lora_dropout", 0.3}})},
      {"LlamaLoraOnUpAlone", llama, random_lora({{"target_modules", {"up_proj"}}})},
      {"LlamaDora", llama, random_lora({{"use_dora", true}})},
      {"LlamaDoraWithDropout", llama, random_lora({{"use_dora", true}, {"lora_dropout", 0.3}})},
      {"LlamaQlora", llama, random_lora(), true},
      {"LlamaTrainedNorm", llama, random_lora({{"modules_to_save", {"post_attention_layernorm"}}})},
      {"Gpt2Full", gpt2, {}},
      {"Gpt2Lora", gpt2, random_lora()},
      {"Gpt2LoraWithDropout", gpt2, random_lora({{"lora_dropout", 0.3}})},
      {"Gpt2Dora", gpt2, random_lora({{"use_dora", true}})},
  };
}

// The loss and then every gradient of one pass, bits and all.
struct PassResult {
  double loss = 0.0;
  std::vector<std::string> names;
  std::vector<std::vector<float>> gradients;
};

PassResult result_of(const RecomputedModel& c, const LossSettings& settings, bool prepack = false) {
  LoadedModel loaded = make_tiny(c.model, {.trainable = c.peft.is_null(), .quantize = c.quantize});
  if (!c.peft.is_null()) {
    inject_adapter(*loaded.model, peft_config(c.peft), {.key = RandomKey(7)});
  }
  if (prepack) {
    const i64 before = current_memory()[MemoryClass::kWeights];
    prepack_frozen(*loaded.model, settings.compute);
    EXPECT_EQ(current_memory()[MemoryClass::kWeights] > before, !c.peft.is_null());
  }
  PassResult result;
  result.loss = loss_and_gradients(*loaded.model, random_examples({9, 14, 3}, 29), settings);
  for (const NamedTensor& p : trainable_parameters(*loaded.model)) {
    result.names.push_back(p.name);
    result.gradients.push_back(p.value.grad().defined() ? p.value.grad().to_vector()
                                                        : std::vector<float>());
  }
  return result;
}

class Recomputing : public ::testing::TestWithParam<int> {};

// Recomputing repeats the very same operations on the same bits, so not one bit may change.
TEST_P(Recomputing, ChangesNoBitOfLossAndGradients) {
  const RecomputedModel c = recomputed_models()[GetParam()];
  const PassResult kept = result_of(c, {});
  ASSERT_FALSE(kept.names.empty());
  const LossSettings ways[] = {{.recompute = Recompute::kSelective},
                               {.recompute = Recompute::kSelective, .recompute_layers = 2},
                               {.recompute = Recompute::kBlock},
                               {.recompute = Recompute::kBlock, .recompute_layers = 1}};
  for (const LossSettings& way : ways) {
    const PassResult again = result_of(c, way);
    EXPECT_EQ(again.loss, kept.loss);
    for (std::size_t i = 0; i < kept.names.size(); ++i) {
      EXPECT_EQ(again.gradients[i], kept.gradients[i]) << kept.names[i];
    }
  }
}

// Frozen weights that are prepacked for products give the values they give themselves.
TEST_P(Recomputing, OfPackedWeightsChangesNoBitEither) {
  const RecomputedModel c = recomputed_models()[GetParam()];
  for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
    const PassResult packed = result_of(c, {.compute = compute}, true);
    const PassResult plain = result_of(c, {.compute = compute});
    EXPECT_EQ(packed.loss, plain.loss);
    EXPECT_EQ(packed.gradients, plain.gradients);
  }
}

// Relative, Euclidean, over all gradients.
double distance(const PassResult& from, const PassResult& to) {
  double apart = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < to.names.size(); ++i) {
    for (std::size_t k = 0; k < to.gradients[i].size(); ++k) {
      const auto exact = static_cast<double>(to.gradients[i][k]);
      const double difference = static_cast<double>(from.gradients[i][k]) - exact;
      apart += difference * difference;
      size += exact * exact;
    }
  }
  return std::sqrt(apart / size);
}

// The loss does not read what is kept. The gradients see exact values of the MLP where they would
// see them rounded to bf16.
TEST_P(Recomputing, OfWhatWouldBeRoundedGivesTheExactValues) {
  const RecomputedModel c = recomputed_models()[GetParam()];
  const PassResult exact = result_of(c, {});
  const PassResult rounded = result_of(c, {.keep = Keep::kRounded});
  const PassResult again =
      result_of(c, {.recompute = Recompute::kSelective, .keep = Keep::kRounded});
  EXPECT_EQ(rounded.loss, exact.loss);
  EXPECT_EQ(again.loss, exact.loss);
  EXPECT_NE(again.gradients, rounded.gradients) << "gate and up were kept rounded all the same";
  // Fewer values are rounded; by chance their errors may have cancelled others, so 1.5.
  EXPECT_LE(distance(again, exact), 1.5 * distance(rounded, exact));
}

INSTANTIATE_TEST_SUITE_P(, Recomputing,
                         ::testing::Range(0, static_cast<int>(recomputed_models().size())),
                         [](const auto& instance) {
                           return std::string(recomputed_models()[instance.param].name);
                         });

}  // namespace
}  // namespace inlay
