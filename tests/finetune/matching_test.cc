// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/matching.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/error_text.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

using Paths = std::vector<std::string>;

// Two layers of a Llama, with head and embedding; layer 11 to tell from 1.
const Paths& modules() {
  static const Paths paths = {
      "model.embed_tokens",
      "model.layers.1.self_attn.q_proj",
      "model.layers.1.self_attn.v_proj",
      "model.layers.1.mlp.down_proj",
      "model.layers.11.self_attn.q_proj",
      "model.layers.11.self_attn.v_proj",
      "model.layers.11.mlp.down_proj",
      "lm_head",
  };
  return paths;
}

std::optional<ModuleMatcher::Choice> show(ModuleMatcher& matcher, const std::string& path) {
  matcher.saves(path);
  return matcher.match(path, path != "lm_head" && path != "model.embed_tokens");
}

Paths matched(const OrderedJson& json) {
  ModuleMatcher matcher(peft_config(json), "/peft");
  Paths out;
  for (const std::string& path : modules()) {
    if (show(matcher, path)) {
      out.push_back(path);
    }
  }
  matcher.check_all_used();
  return out;
}

std::string matching_error(const OrderedJson& json) {
  return error_text<ConfigError>([&] { matched(json); });
}

TEST(ModuleMatcher, FindsTheModulesThatPeftWould) {
  const struct {
    OrderedJson config;
    std::vector<int> expected;  // of modules()
  } cases[] = {
      {{{"target_modules", "all-linear"}}, {1, 2, 3, 4, 5, 6}},
      {{{"target_modules", "All-Linear"}}, {1, 2, 3, 4, 5, 6}},
      {{{"target_modules", {"q_proj", "down_proj"}}}, {1, 3, 4, 6}},
      {{{"target_modules", {"self_attn.q_proj", "lm_head", "embed_tokens"}}}, {0, 1, 4, 7}},
      {{{"target_modules", {"model.layers.1.mlp.down_proj", "lm_head"}}}, {3, 7}},
      // A string is a regular expression over the whole path …
      {{{"target_modules", ".*\\.1\\..*_proj"}}, {1, 2, 3}},
      {{{"target_modules", "model\\.layers\\.\\d+\\.mlp.*|lm_head"}}, {3, 6, 7}},
      // … and so is one of exclude_modules; a list there holds path ends.
      {{{"target_modules", "all-linear"}, {"exclude_modules", {"v_proj"}}}, {1, 3, 4, 6}},
      {{{"target_modules", "all-linear"}, {"exclude_modules", ".*\\.11\\..*"}}, {1, 2, 3}},
      {{{"target_modules", {"q_proj", "v_proj"}}, {"layers_to_transform", {11}}}, {4, 5}},
      {{{"target_modules", {"q_proj", "v_proj"}}, {"layers_to_transform", 1}}, {1, 2}},
      {{{"target_modules", {"v_proj"}},
        {"layers_to_transform", {1, 11}},
        {"layers_pattern", "layers"}},
       {2, 5}},
      // A whole path is meant in whatever layer it lies.
      {{{"target_modules", {"q_proj", "lm_head", "model.layers.11.mlp.down_proj"}},
        {"layers_to_transform", {1}}},
       {1, 6, 7}},
      // What is saved whole gets no factors.
      {{{"target_modules", "all-linear"}, {"modules_to_save", {"lm_head", "mlp.down_proj"}}},
       {1, 2, 4, 5}},
  };
  for (const auto& c : cases) {
    Paths expected;
    for (const int i : c.expected) {
      expected.push_back(modules()[i]);
    }
    EXPECT_EQ(matched(c.config), expected) << c.config;
  }
}

TEST(ModuleMatcher, TakesRankAndAlphaOfTheFirstPatternThatFits) {
  const PeftConfig config =
      peft_config({{"r", 8},
                   {"lora_alpha", 4},
                   {"rank_pattern",
                    {{"model.layers.1.self_attn.q_proj", 2}, {"q_proj", 3}, {".*\\.mlp\\..*", 5}}},
                   {"alpha_pattern", {{"[qv]_proj", 7.5}}}});
  ModuleMatcher matcher(config, "");
  const struct {
    int module;
    i64 rank;
    double alpha;
  } cases[] = {{1, 2, 7.5}, {2, 8, 7.5}, {3, 5, 4.0}, {4, 3, 7.5}, {6, 5, 4.0}};
  for (const auto& c : cases) {
    const auto choice = show(matcher, modules()[c.module]);
    ASSERT_TRUE(choice.has_value());
    EXPECT_EQ(choice->rank, c.rank) << modules()[c.module];
    EXPECT_EQ(choice->alpha, c.alpha) << modules()[c.module];
  }
  matcher.check_all_used();
}

TEST(ModuleMatcher, NamesThePatternThatMatchesNothing) {
  const std::string names = "; it has embed_tokens, q_proj, v_proj, down_proj, lm_head";
  const struct {
    OrderedJson config;
    std::string sentence;
  } cases[] = {
      {{{"target_modules", {"q_proj", "down_prj"}}},
       "/peft/target_modules: \"down_prj\" matches no module of this model (did you mean "
       "\"down_proj\"?)" +
           names},
      {{{"target_modules", {"proj"}}},  // an entry is a whole component, not the end of one
       "/peft/target_modules: \"proj\" matches no module of this model (did you mean \"q_proj\"?)" +
           names},
      {{{"target_modules", "q_proj"}},  // a string must match all of the path
       "/peft/target_modules: \"q_proj\" matches no module of this model: a string is a regular "
       "expression over the whole path; the list [\"q_proj\"] means every module of that name"},
      {{{"target_modules", "q_prj"}},
       "/peft/target_modules: \"q_prj\" matches no module of this model (did you mean "
       "\"q_proj\"?)" +
           names},
      {{{"target_modules", {"q_proj", "v_proj"}}, {"modules_to_save", {"v_proj"}}},
       "/peft/target_modules: \"v_proj\" matches only modules that modules_to_save keeps whole"},
      {{{"target_modules", {"q_proj", "v_proj"}}, {"exclude_modules", ".*v_proj"}},
       "/peft/target_modules: \"v_proj\" matches only modules that exclude_modules "
       "(\".*v_proj\") leaves out"},
      {{{"exclude_modules", {"v_proj", "self_attn.v_proj"}}},
       "/peft/exclude_modules: \"self_attn.v_proj\" matches only modules that \"v_proj\", which "
       "stands before it, takes"},
      {{{"exclude_modules", {"experts"}}},
       "/peft/exclude_modules: \"experts\" matches no module of this model" + names},
      {{{"modules_to_save", {"classifier"}}},
       "/peft/modules_to_save: \"classifier\" matches no module of this model" + names},
      {{{"rank_pattern", {{"k_proj", 4}}}},
       "/peft/rank_pattern: \"k_proj\" matches no module of this model (did you mean \"q_proj\"?)" +
           names},
      // All that the pattern fits has taken an earlier one.
      {{{"rank_pattern", {{".*", 4}, {"q_proj", 2}}}},
       "/peft/rank_pattern: \"q_proj\" matches only modules that \".*\", which stands before it, "
       "takes"},
      {{{"target_modules", {"q_proj"}},
        {"layers_to_transform", {11}},
        {"alpha_pattern", {{".*", 4}, {"q_proj", 2}}}},
       "/peft/alpha_pattern: \"q_proj\" matches only modules that \".*\", which stands before it, "
       "takes"},
      {{{"target_modules", {"q_proj"}}, {"rank_pattern", {{"v_proj", 4}}}},
       "/peft/rank_pattern: \"v_proj\" matches only modules that target_modules does not choose"},
      {{{"alpha_pattern", {{"layers\\.2\\..*", 4}}}},
       "/peft/alpha_pattern: \"layers\\.2\\..*\" matches no module of this model" + names},
      {{{"target_modules", {"q_proj"}}, {"layers_to_transform", {1, 2}}},
       "/peft/layers_to_transform: no targeted module lies in layer 2"},
      {{{"target_modules", {"q_proj", "embed_tokens"}}, {"layers_to_transform", {1}}},
       "/peft/target_modules: \"embed_tokens\" matches no module in the layers of "
       "layers_to_transform"},
      // Where PEFT, which compares ends of paths as text, saves what it has wrapped, or saves
      // twice.
      {{{"target_modules", {"q_proj"}}, {"modules_to_save", {"proj"}}},
       "/peft/modules_to_save: \"proj\" ends the path of model.layers.1.self_attn.q_proj or of a "
       "module around it, which target_modules adapts, and what is saved whole takes no factors: "
       "name whole parts of the path"},
      {{{"target_modules", {"q_proj", "lm_head"}}, {"modules_to_save", {"head"}}},
       "/peft/modules_to_save: \"head\" ends the path of lm_head or of a module around it, which "
       "target_modules adapts"},
      {{{"target_modules", {"q_proj"}}, {"modules_to_save", {"attn"}}},
       "/peft/modules_to_save: \"attn\" ends the path of model.layers.1.self_attn.q_proj or of a "
       "module around it"},
      {{{"target_modules", {"q_proj"}}, {"modules_to_save", {"mlp", "down_proj"}}},
       "/peft/modules_to_save: \"down_proj\" means model.layers.1.mlp.down_proj, which lies in "
       "model.layers.1.mlp, saved whole by \"mlp\": leave one of them out"},
      {{{"target_modules", {"q_proj"}}, {"layers_to_transform", {1}}, {"layers_pattern", "h"}},
       "/peft/layers_to_transform: no targeted module lies in layer 1"},
  };
  for (const auto& c : cases) {
    const std::string found = matching_error(c.config);
    EXPECT_EQ(found.substr(0, c.sentence.size()), c.sentence) << c.config << found;
  }
}

TEST(ModuleMatcher, SaysWhereARegularExpressionIsWrong) {
  for (const char* key : {"target_modules", "exclude_modules"}) {
    const std::string sentence = matching_error({{key, "(q_proj"}});
    EXPECT_EQ(sentence.rfind(std::string("/peft/") + key + ": ", 0), 0U) << sentence;
  }
  for (const char* key : {"rank_pattern", "alpha_pattern"}) {
    const std::string sentence = matching_error({{key, {{"[q", 1}}}});
    EXPECT_EQ(sentence.rfind(std::string("/peft/") + key + ": ", 0), 0U) << sentence;
  }
}

// As PEFT's _set_trainable: key.endswith(entry), the key being "base_model.model." and the path.
TEST(ModuleMatcher, SavesEveryModuleWhosePathEndsSo) {
  const Paths paths = {"model.embed_tokens",
                       "model.layers.0.input_layernorm",
                       "model.layers.0.self_attn.q_proj",
                       "model.layers.0.mlp.down_proj",
                       "model.layers.10.mlp.down_proj",
                       "model.norm",
                       "lm_head"};
  const struct {
    const char* entry;
    std::vector<int> saved;
  } cases[] = {{"norm", {1, 5}},    {"model.norm", {5}},     {"base_model.model.model.norm", {5}},
               {"layernorm", {1}},  {"mlp", {3, 4}},         {"0.mlp", {3, 4}},
               {".0.mlp", {3}},     {"layers.0", {1, 2, 3}}, {"head", {6}},
               {"proj", {2, 3, 4}}, {"tokens", {0}},         {"q_pro", {}},
               {"Norm", {}}};
  for (const auto& c : cases) {
    ModuleMatcher matcher(peft_config({{"modules_to_save", {c.entry}}}), "");
    std::vector<int> saved;
    for (int i = 0; i < static_cast<int>(paths.size()); ++i) {
      if (matcher.saves(paths[i])) {
        saved.push_back(i);
      }
    }
    EXPECT_EQ(saved, c.saved) << c.entry;
  }
}

TEST(EndsWithModule, ComparesWholeComponents) {
  EXPECT_TRUE(ends_with_module("a.b.c", "c"));
  EXPECT_TRUE(ends_with_module("a.b.c", "b.c"));
  EXPECT_TRUE(ends_with_module("a.b.c", "a.b.c"));
  EXPECT_FALSE(ends_with_module("a.b.cc", "c"));
  EXPECT_FALSE(ends_with_module("a.b.c", "b"));
  EXPECT_FALSE(ends_with_module("c", "a.c"));
}

TEST(LayerIndex, IsTheNumberBehindTheNameOfAList) {
  EXPECT_EQ(layer_index("model.layers.3.mlp.up_proj", {}), 3);
  EXPECT_EQ(layer_index("model.layers.12.mlp.up_proj", {"layers"}), 12);
  EXPECT_EQ(layer_index("transformer.h.0.attn", {"layers", "h"}), 0);
  EXPECT_EQ(layer_index("model.layers.3.mlp.experts.5.w1", {"experts"}), 5);
  EXPECT_EQ(layer_index("model.decoder.layers.4.fc1", {"decoder.layers"}), 4);
  EXPECT_EQ(layer_index("model.layers.3.mlp.experts.5.w1", {"experts", "layers"}), 5);
  EXPECT_EQ(layer_index("model.layers.3", {}), std::nullopt);
  EXPECT_EQ(layer_index("transformer.h.0.attn", {"layers"}), std::nullopt);
  EXPECT_EQ(layer_index("lm_head", {}), std::nullopt);
  EXPECT_EQ(layer_index("model.layers.3x.mlp", {}), std::nullopt);
}

}  // namespace
}  // namespace inlay
