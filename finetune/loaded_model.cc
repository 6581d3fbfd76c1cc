// SPDX-License-Identifier: Apache-2.0
#include "finetune/loaded_model.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"
#include "data/tokenizer/load.h"
#include "finetune/chat_template_choice.h"
#include "finetune/model_cache.h"
#include "finetune/model_checks.h"
#include "finetune/stop_ids.h"
#include "nn/models/families.h"
#include "nn/models/rope_override.h"
#include "quant/checkpoint_weights.h"

namespace inlay {
namespace {

HfConfig scaled_config(const HfConfig& config, const FreeObject& rope_scaling) {
  return rope_scaling ? with_rope_scaling(config, nlohmann::json(*rope_scaling.json),
                                          "the run's model.rope_scaling")
                      : config;
}

QuantizeOnLoad quantize_options(const QuantizationConfig& config) {
  QuantizeOnLoad out;
  out.format.type = config.bnb_4bit_quant_type;
  out.format.block_size = config.bnb_4bit_blocksize;
  out.format.double_quant = config.bnb_4bit_use_double_quant;
  out.skip_modules = config.skip_modules;
  return out;
}

CheckpointWeightsOptions weight_options(const LoadOptions& options) {
  CheckpointWeightsOptions out;
  out.trainable = options.trainable;
  out.dtype = options.model.dtype.value;
  if (options.quantization && options.quantization->load_in_4bit) {
    out.four_bit = quantize_options(*options.quantization);
  }
  return out;
}

void load_from_checkpoint(const LoadOptions& options, LoadedModel& out) {
  require_layers(*out.config, *out.checkpoint);
  CheckpointWeights weights(*out.checkpoint, weight_options(options));
  out.model = make_model(*out.config, weights);
  if (options.require_finite) {
    out.checkpoint->require_finite();
  }
  const auto note_all = [&](const std::vector<std::string>& notices) {
    out.notices.insert(out.notices.end(), notices.begin(), notices.end());
  };
  note_all(out.checkpoint->notices());
  note_all(config_notes(*out.config));
  note_all(id_notes(*out.config));
  note_all(unused_notes(out.name, out.checkpoint->unused()));
}

void make_from_config(const LoadOptions& options, LoadedModel& out) {
  const bool rounded = options.model.dtype == DType::kBf16 && !options.trainable;
  RandomWeights weights(RandomKey(options.seed).with("init"), rounded ? DType::kBf16 : DType::kF32);
  if (options.quantization && options.quantization->load_in_4bit) {
    QuantizedWeights quantized(weights, quantize_options(*options.quantization));
    out.model = make_model(*out.config, quantized);
  } else {
    out.model = make_model(*out.config, weights);
  }
}

void add_notes(const std::vector<std::string>& notes, LoadedModel& out) {
  out.notices.insert(out.notices.end(), notes.begin(), notes.end());
}

// A tokenizer larger than the model does no harm until a text comes to such a token; then that is
// refused (require_rows).
void note_tokens(LoadedModel& out) {
  if (out.tokenizer) {
    const i64 rows = out.sizes.vocab_size;
    const i64 tokens = out.tokenizer->vocab_size();
    if (tokens > rows) {
      out.notices.push_back(str(
          out.name, ": the tokenizer has ", tokens, " tokens and the model rows for ", rows,
          "; text that needs one of the others, such as \"",
          printable(out.tokenizer->piece(static_cast<i32>(rows))), "\" (", rows, "), is refused"));
    }
    add_notes(out.tokenizer->notes(), out);
  }
  // A tokenizer of the model's own folder has read the model's files, too.
  const std::string directory = is_directory(out.name) ? out.name : "";
  if (!out.tokenizer || directory.empty() || out.tokenizer_directory != directory) {
    ModelStops stops = read_model_stops(*out.config, directory, out.sizes.vocab_size);
    out.own_stop_ids = std::move(stops.ids);
    add_notes(stops.notes, out);
  }
}

// Of a folder, or of a GGUF file.
bool has_own_tokenizer(const std::string& model) {
  return is_file(model) ? has_tokenizer(GgufFile(model)) : has_tokenizer(model);
}

void find_tokenizer(const LoadOptions& options, LoadedModel& out) {
  std::string path;
  if (options.model.tokenizer) {
    path = *options.model.tokenizer;
  } else if (out.checkpoint != nullptr && has_own_tokenizer(out.name)) {
    path = out.name;
  } else {
    return;  // some models have none; whoever needs one then says so
  }
  out.tokenizer = load_tokenizer(path);
  if (is_directory(path)) {
    out.tokenizer_directory = path;
  } else if (path.ends_with(".json") || path.ends_with(".model")) {
    out.tokenizer_directory = parent_path(path);
  }
}

}  // namespace

std::vector<i32> LoadedModel::stop_ids() const {
  std::vector<i32> ids = tokenizer ? tokenizer->eos_ids() : std::vector<i32>();
  for (const i32 id : own_stop_ids) {
    if (std::ranges::count(ids, id) == 0) {
      ids.push_back(id);
    }
  }
  return ids;
}

void LoadedModel::require_rows(std::span<const i32> ids) const {
  if (tokenizer) {
    require_in_vocabulary(*tokenizer, ids, sizes.vocab_size);
  }
}

const Tokenizer& LoadedModel::require_tokenizer(const std::string& what_for) const {
  if (!tokenizer) {
    throw ConfigError(
        str(name, ": ", what_for,
            " needs a tokenizer, and this model has none (--tokenizer names one, in a run config "
            "model.tokenizer)"));
  }
  return *tokenizer;
}

LoadedModel open_model(const LoadOptions& options) {
  LoadedModel out;
  if (options.model.model_name_or_path) {
    out.checkpoint = open_checkpoint(resolve_model_path(*options.model.model_name_or_path));
    out.name = out.checkpoint->path();
    out.config = scaled_config(out.checkpoint->config(), options.model.rope_scaling);
  } else {
    const HfConfig config(nlohmann::json(*options.model.config.json), "model.config");
    out.config = scaled_config(config, options.model.rope_scaling);
    out.name = out.config->text("model_type");
  }
  find_tokenizer(options, out);
  if (out.tokenizer) {
    out.chat_template = choose_chat_template(options.model.chat_template, *out.tokenizer, out.name);
  }
  out.now = options.model.template_date ? CivilTime::parse(*options.model.template_date)
                                        : CivilTime::now();
  return out;
}

void load_weights(const LoadOptions& options, LoadedModel& loaded) {
  const MemoryScope scope(MemoryClass::kWeights);
  loaded.model.reset();
  loaded.notices.clear();
  if (options.model.model_name_or_path) {
    load_from_checkpoint(options, loaded);
  } else {
    make_from_config(options, loaded);
  }
  loaded.sizes = loaded.model->sizes();
  if (options.trainable) {
    for (const NamedTensor& p : parameters(*loaded.model)) {
      p.value.set_requires_grad(true);
    }
  }
  note_tokens(loaded);
}

LoadedModel load_model(const LoadOptions& options) {
  LoadedModel out = open_model(options);
  load_weights(options, out);
  return out;
}

}  // namespace inlay
