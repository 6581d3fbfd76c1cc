// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/causal_lm.h"
#include "nn/decoder_plan.h"
#include "nn/models/gguf_config.h"
#include "nn/models/hf_config.h"
#include "nn/weights.h"

/// The families of models, one row each. To add one: a file nn/models/<family>.cc with its row, its
/// line in families.cc, and its line in the build.
namespace inlay {

/// A module's name in checkpoints of Hugging Face and in GGUF files.
struct NamePair {
  std::string_view hf, gguf;
};

/// What a GGUF file of a family holds, and by which names.
struct GgufFamily {
  std::string architecture;  // general.architecture, and what the keys of its settings begin with
  std::vector<GgufSetting> settings;  // that one key each has, and every file must have
  /// The settings that take more than one key to tell, added to `config`.
  void (*more_settings)(const GgufKeys& keys, nlohmann::json& config) = nullptr;
  std::vector<NamePair> in_layer;  // modules, below "<names.layers>.N." and "blk.N."
  std::vector<NamePair> outside;
  /// Files keep the rows of projections that RoPE turns in the order of interleaved pairs (see
  /// unpermuted_rope_rows).
  bool permutes_rope_rows = false;
  /// Files keep 1 + w where Hugging Face's norms have w.
  bool adds_one_to_norms = false;
  /// A projection of a layer that has queries, keys and values of one head after the other, of
  /// which files keep all queries first, then all keys. Empty: none.
  std::string_view qkv_by_head = {};
  /// Of matrices that files keep in two, the upper rows' names in a layer and the lower rows'.
  std::vector<std::pair<std::string_view, std::string_view>> second_halves = {};
};

/// A part of names in memory, and what some checkpoints have in its place.
struct OtherPrefix {
  std::string memory, file;
};

/// The end of a router's path in memory, and so in adapters, and in checkpoints.
struct RouterName {
  std::string_view memory, file;
};

struct Family {
  std::string article;                   // what a model of it is called in a sentence: "a Llama"
  std::vector<std::string> model_types;  // `model_type` of config.json
  std::string causal_class;  // its language model in Transformers, as `architectures` has it
  std::string bare_class;    // the same without a head, whose checkpoints are read too
  std::string base_prefix;   // begins all names of a checkpoint but the head's; bare ones lack it
  DecoderNames names = {};
  bool tied_by_default = false;  // where config.json has no tie_word_embeddings
  std::string layers_key;        // has the number of layers
  /// Keys of config.json that change the arithmetic of some families (foreign_settings.h) and are
  /// this one's own business.
  std::vector<std::string_view> own_settings = {};
  /// The model of a config. Throws DataError for what is missing, of the wrong type, or beyond what
  /// inlay computes.
  DecoderPlan (*plan)(const HfConfig& config) = nullptr;
  /// A sentence for each setting that is set and not followed, as in Transformers; null: none.
  std::vector<std::string> (*notes)(const HfConfig& config) = nullptr;
  std::optional<GgufFamily> gguf = {};
  /// The token id that the class in Transformers has by default for begin and end, and writes into
  /// the config of models with a smaller vocabulary, too.
  std::optional<i64> default_token_id = {};
  /// The modules that PEFT adapts where an adapter's config names none; empty: it then refuses.
  std::vector<std::string> default_lora_targets = {};
  /// Of a model of several parts: the object of config.json that has the settings of its language
  /// model. Empty: the config itself.
  std::string text_key = {};
  /// The `model_type` of that language model as a model of its own, where the object has none.
  std::string text_alone = {};
  std::vector<OtherPrefix> other_prefixes = {};
  std::optional<RouterName> router = {};  // where the two differ
  /// What the names of tensors begin with that belong to other parts: images, sounds, heads that
  /// guess further tokens.
  std::vector<std::string_view> other_parts = {};
};

/// What sets a model of several parts apart from its language model alone.
struct WrapperRow {
  std::string article, model_type, causal_class, bare_class;
};
/// The language model of `text` inside a model of several parts, as Transformers 5 names it there:
/// "model.layers" is "model.language_model.layers".
Family text_part_of(Family text, const WrapperRow& wrapper);

/// All rows.
const std::vector<const Family*>& families();
/// By `model_type`; by architecture of a GGUF file, the first that has it; null when there is none.
const Family* find_family(std::string_view model_type);
const Family* find_gguf_family(std::string_view architecture);
/// The family of a config. Throws DataError naming the families there are.
const Family& family_of(const HfConfig& config);
/// The settings of the language model: the config, or the part of it that Family::text_key says.
HfConfig text_config(const HfConfig& config, const Family& family);
/// What checkpoints may call a tensor that is `name` in memory, by Family::other_prefixes; nothing
/// when they all call it so.
std::vector<std::string> other_names(const Family& family, std::string_view name);
/// The path in memory of a router that is `path` in checkpoints.
std::string router_in_memory(const Family& family, const std::string& path);
/// Whether a tensor of a checkpoint, by its name there, belongs to another part of the model.
bool is_of_other_part(const Family& family, std::string_view tensor);

/// The model of a config as data. Throws DataError for a family inlay does not know, for
/// `architectures` of another task (a classifier, a reward model), for what Family::plan refuses,
/// and for settings that change the arithmetic in a way that is not this family's.
DecoderPlan plan_of(const HfConfig& config);
/// The sizes of that model. No model is made.
ModelSizes sizes_of(const HfConfig& config);
/// That model, with weights of the source.
std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights);

/// Whether a config says that the head is the embedding's table.
bool says_tied(const HfConfig& config, const Family& family);

/// The `model_type`s there are, in the order of the alphabet.
std::vector<std::string> model_types();

/// The number of layers, and the key that has it: "num_hidden_layers".
struct LayerSetting {
  std::string key;
  i64 count = 0;
};
/// Throws DataError as family_of.
LayerSetting layer_setting(const HfConfig& config);

/// A sentence for each setting that is set and not followed, as in Transformers.
std::vector<std::string> config_notes(const HfConfig& config);

/// GGUF's name for a module or parameter that Hugging Face names `hf_name`
/// ("model.layers.0.self_attn.q_proj.weight" -> "blk.0.attn_q.weight"); nothing when GGUF files of
/// the family have no such part.
std::optional<std::string> gguf_name(const Family& family, std::string_view hf_name);

}  // namespace inlay
