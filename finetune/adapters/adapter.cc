// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/adapter.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/error.h"
#include "finetune/adapters/lora.h"
#include "finetune/adapters/matching.h"

namespace inlay {
namespace {

class Freezer : public Visitor {
 public:
  void parameter(const std::string& /*name*/, Tensor& value) override {
    if (value.defined()) {
      value.set_requires_grad(false);
    }
  }
};

LoraInit init_of(const PeftConfig& config) {
  if (const bool* flag = std::get_if<bool>(&config.init_lora_weights)) {
    return *flag ? LoraInit::kDefault : LoraInit::kRandom;
  }
  return LoraInit::kGaussian;  // the only word the config check lets through
}

Tensor trainable_copy(const Tensor& source) {
  const MemoryScope scope(MemoryClass::kAdapters);
  Tensor copy = source.to(DType::kF32);
  if (copy.same_storage(source)) {
    copy = source.clone();
  }
  copy.storage()->set_memory_class(MemoryClass::kAdapters);
  copy.set_requires_grad(true);
  return copy;
}

template <typename Wrapper, typename Layer>
const Layer& innermost(const Layer& layer) {
  const Layer* inner = &layer;
  while (const auto* wrapper = dynamic_cast<const Wrapper*>(inner)) {
    inner = &wrapper->base();
  }
  return *inner;
}

class Injector : public Visitor {
 public:
  Injector(const PeftConfig& config, const InjectOptions& options)
      : config_(config), options_(options), matcher_(config, options.pointer) {}

  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    const bool saved = matcher_.saves(name);
    const auto choice = matcher_.match(name, name != kHead);
    if (saved) {
      save_linear(name, slot);
    } else if (choice) {
      wrap_linear(name, slot, *choice);
    } else {
      Visitor::linear(name, slot);
    }
  }

  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) override {
    const bool saved = matcher_.saves(name);
    const auto choice = matcher_.match(name, false);
    if (saved) {
      auto table = std::make_unique<Embedding>(trainable_copy(slot->weight_rows(0, slot->rows())));
      take(name + ".weight", table->weight());
      adapter_.modules.push_back({name, slot->rows(), slot->width(), 0, table->weight().numel()});
      slot = std::move(table);
    } else if (choice) {
      if (config_.use_dora) {
        throw ConfigError(
            str(options_.pointer, "/use_dora: DoRA on an embedding (", name, ") is not supported"));
      }
      auto wrapped =
          std::make_unique<LoraEmbedding>(name, std::move(slot), spec(*choice), options_.key);
      take(name + ".lora_embedding_A", wrapped->lora_a());
      take(name + ".lora_embedding_B", wrapped->lora_b());
      note(name, wrapped->rows(), wrapped->width(), choice->rank,
           {wrapped->lora_a(), wrapped->lora_b()});
      keep_base<LoraEmbedding>(name, wrapped->base(), wrapped->rows(), wrapped->width());
      slot = std::move(wrapped);
    } else {
      Visitor::embedding(name, slot);
    }
  }

  // A parameter outside linear layers and embeddings: a norm's, say, when modules_to_save names the
  // norm.
  void parameter(const std::string& name, Tensor& value) override {
    const std::string module = name.substr(0, name.rfind('.'));
    if (value.defined() && !inside_adapter(name) && matcher_.saves(module)) {
      value = trainable_copy(value);
      take(name, value);
      adapter_.modules.push_back({module, value.numel(), 1, 0, value.numel()});
    }
  }

  Adapter finish() {
    matcher_.check_all_used();
    if (adapter_.modules.empty()) {
      throw ConfigError(options_.pointer + "/target_modules: no module of this model matches");
    }
    adapter_.config = config_;
    if (matcher_.all_linear()) {  // PEFT, too, replaces the word by the names it came to
      adapter_.config.target_modules =
          std::vector<std::string>(target_names_.begin(), target_names_.end());
    }
    return std::move(adapter_);
  }

 private:
  static constexpr const char* kHead = "lm_head";

  static bool inside_adapter(const std::string& name) {
    return name.find(".lora_") != std::string::npos;
  }

  LoraSpec spec(const ModuleMatcher::Choice& choice) const {
    const double rank = static_cast<double>(choice.rank);
    LoraSpec s;
    s.rank = choice.rank;
    s.scale = options_.scale * choice.alpha / (config_.use_rslora ? std::sqrt(rank) : rank);
    s.dropout = static_cast<float>(config_.lora_dropout);
    s.dora = config_.use_dora;
    s.init = init_of(config_);
    return s;
  }

  void wrap_linear(const std::string& name, std::unique_ptr<LinearLike>& slot,
                   const ModuleMatcher::Choice& choice) {
    adapter_.fan_in_fan_out |= slot->checkpoint_layout() == WeightLayout::kInOut;
    auto wrapped = std::make_unique<LoraLinear>(name, std::move(slot), spec(choice), options_.key);
    take(name + ".lora_A.weight", wrapped->lora_a());
    take(name + ".lora_B.weight", wrapped->lora_b());
    if (wrapped->magnitude().defined()) {
      take(name + ".lora_magnitude_vector", wrapped->magnitude());
    }
    note(name, wrapped->out_features(), wrapped->in_features(), choice.rank,
         {wrapped->lora_a(), wrapped->lora_b(), wrapped->magnitude()});
    keep_base<LoraLinear>(name, wrapped->base(), wrapped->out_features(), wrapped->in_features());
    slot = std::move(wrapped);
  }

  void save_linear(const std::string& name, std::unique_ptr<LinearLike>& slot) {
    const Tensor weight = trainable_copy(slot->weight_rows(0, slot->out_features()));
    const Tensor bias = slot->bias().defined() ? trainable_copy(slot->bias()) : Tensor();
    take(name + ".weight", weight);
    if (bias.defined()) {
      take(name + ".bias", bias);
    }
    adapter_.modules.push_back({name, weight.dim(0), weight.dim(1), 0,
                                weight.numel() + (bias.defined() ? bias.numel() : 0)});
    slot = std::make_unique<Linear>(weight, bias);
  }

  // PEFT saves the tables of these two modules, and looks for no other names. The table is that of
  // the model itself, whatever adapters lie between.
  template <typename Wrapper, typename Layer>
  void keep_base(const std::string& name, const Layer& below, i64 count, i64 width) {
    const std::string last = name.substr(name.rfind('.') + 1);
    if (last == "embed_tokens" || last == kHead) {
      const Layer& base = innermost<Wrapper>(below);
      adapter_.base_tables.push_back(
          {name + ".base_layer.weight",
           [&base](i64 begin, i64 end) { return base.weight_rows(begin, end); }, count, width});
    }
  }

  void take(const std::string& key, const Tensor& value) {
    adapter_.tensors.push_back({key, value});
  }

  void note(const std::string& name, i64 rows, i64 cols, i64 rank,
            const std::vector<Tensor>& tensors) {
    i64 parameters = 0;
    for (const Tensor& t : tensors) {
      parameters += t.defined() ? t.numel() : 0;
    }
    adapter_.modules.push_back({name, rows, cols, rank, parameters});
    target_names_.insert(name.substr(name.rfind('.') + 1));
  }

  PeftConfig config_;
  InjectOptions options_;
  ModuleMatcher matcher_;
  Adapter adapter_;
  std::set<std::string> target_names_;
};

// "model.layers.3.mlp.up_proj" -> "model.layers.*.mlp.up_proj"
std::string without_layer(const std::string& path) {
  const std::optional<i64> layer = layer_index(path, {});
  if (!layer) {
    return path;
  }
  const std::string number = str(".", *layer, ".");
  const std::size_t at = path.find(number);
  return path.substr(0, at) + ".*." + path.substr(at + number.size());
}

}  // namespace

i64 Adapter::parameters() const {
  i64 sum = 0;
  for (const AdaptedModule& m : modules) {
    sum += m.parameters;
  }
  return sum;
}

Adapter inject_adapter(CausalLM& model, const PeftConfig& config, const InjectOptions& options) {
  Freezer freezer;
  model.visit(freezer, "");
  Injector injector(config, options);
  model.visit(injector, "");
  return injector.finish();
}

std::string adapter_table(const Adapter& adapter) {
  struct Row {
    std::string module;
    AdaptedModule like;
    i64 count = 0, parameters = 0;
  };
  std::vector<Row> rows;
  for (const AdaptedModule& m : adapter.modules) {
    const std::string module = without_layer(m.path);
    const auto same = [&](const Row& r) {
      return r.module == module && r.like.rows == m.rows && r.like.cols == m.cols &&
             r.like.rank == m.rank;
    };
    auto it = std::ranges::find_if(rows, same);
    if (it == rows.end()) {
      it = rows.insert(rows.end(), {module, m, 0, 0});
    }
    it->count += 1;
    it->parameters += m.parameters;
  }
  std::size_t width = 6;
  for (const Row& r : rows) {
    width = std::max(width, r.module.size());
  }
  const auto line = [&](const std::string& module, const std::string& shape,
                        const std::string& rank, const std::string& count,
                        const std::string& parameters) {
    const auto right = [](const std::string& text, std::size_t to) {
      return std::string(text.size() < to ? to - text.size() : 0, ' ') + text;
    };
    return module + std::string(width - module.size(), ' ') + right(shape, 16) + right(rank, 7) +
           right(count, 7) + right(parameters, 13) + "\n";
  };
  std::string out = line("module", "shape", "rank", "count", "parameters");
  for (const Row& r : rows) {
    out += line(r.module, str("[", r.like.rows, ", ", r.like.cols, "]"),
                r.like.rank == 0 ? std::string("whole") : std::to_string(r.like.rank),
                std::to_string(r.count), std::to_string(r.parameters));
  }
  return out + line("total", "", "", std::to_string(adapter.modules.size()),
                    std::to_string(adapter.parameters()));
}

}  // namespace inlay
