// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "nn/linear.h"
#include "nn/models/families.h"
#include "quant/checkpoint.h"
#include "quant/checkpoint_weights.h"
#include "tests/support/golden.h"

/// Which linear layers become 4-bit as they load.
namespace inlay {
namespace {

class FourBitLayers final : public Visitor {
 public:
  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    const auto* frozen = dynamic_cast<const FrozenLinear*>(slot.get());
    const bool codes =
        frozen != nullptr && frozen->weight().format() == kernels::MatrixFormat::kFourBit;
    (codes ? four_bit : others).insert(name);
  }
  void router(const std::string& /*name*/, std::unique_ptr<LinearLike>& /*slot*/) override {}
  std::set<std::string> four_bit, others;
};

FourBitLayers layers(const std::string& folder, const std::vector<std::string>& skip_modules) {
  const auto checkpoint = open_checkpoint(folder);
  CheckpointWeightsOptions options;
  options.four_bit = QuantizeOnLoad{.format = {}, .skip_modules = skip_modules};
  CheckpointWeights weights(*checkpoint, options);
  const auto model = make_model(checkpoint->config(), weights);
  FourBitLayers found;
  model->visit(found, "");
  return found;
}

TEST(SkipModules, AnyNameOfTheHeadIsTheHead) {
  for (const char* family : {"gpt_neox", "olmoe"}) {
    const std::string folder = golden(std::string("models/families/") + family);
    for (const char* head : {"lm_head", "embed_out", "output"}) {
      const FourBitLayers kept = layers(folder, {head});
      EXPECT_EQ(kept.others, std::set<std::string>{"lm_head"});
      EXPECT_FALSE(kept.four_bit.empty());
    }
    EXPECT_TRUE(layers(folder, {}).others.empty());
  }
}

TEST(SkipModules, ATiedHeadStaysTheTable) {
  for (const std::vector<std::string>& skipped : {std::vector<std::string>{}, {"lm_head"}}) {
    const FourBitLayers found = layers(golden("models/llama_tied"), skipped);
    EXPECT_EQ(found.others, std::set<std::string>{"lm_head"});
  }
}

TEST(SkipModules, AreBeginsByWholeNamesOrEndsOfPaths) {
  const std::string folder = golden("models/llama_tied");
  const FourBitLayers first = layers(folder, {"model.layers.0"});
  for (const std::string& name : first.others) {
    EXPECT_TRUE(name == "lm_head" || name.starts_with("model.layers.0.")) << name;
  }
  EXPECT_EQ(first.others.size(), 8);
  EXPECT_EQ(layers(folder, {"model.layer"}).others.size(), 1);  // the tied head
  EXPECT_TRUE(layers(folder, {"down_proj"}).others.contains("model.layers.1.mlp.down_proj"));
  EXPECT_FALSE(layers(folder, {"down_proj"}).others.contains("model.layers.1.mlp.up_proj"));
}

}  // namespace
}  // namespace inlay
