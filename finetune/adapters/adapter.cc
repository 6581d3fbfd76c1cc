// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/adapter.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "finetune/adapters/injector.h"
#include "finetune/adapters/parameter_targets.h"
#include "nn/models/families.h"

namespace inlay {
namespace {

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    out += c == '.' ? "\\." : std::string(1, c);
  }
  return out;
}

// In a model of several parts "q_proj" is a module of the part for images, too, of which an adapter
// that PEFT loads would then have to have factors. The list as an expression that chooses the same
// modules of the language model alone.
std::string within_language_model(const std::vector<std::string>& targets,
                                  const std::string& head) {
  constexpr std::string_view kPart = "language_model.";
  std::string inside, outside;
  for (const std::string& target : targets) {
    const std::size_t at = target.find(kPart);
    const std::string name = at == std::string::npos ? target : target.substr(at + kPart.size());
    std::string& list = target == head ? outside : inside;
    list += str(list.empty() ? "" : "|", escaped(name));
  }
  const std::string part = "(?:.*\\.)?language_model\\.(?:.*\\.)?(?:" + inside + ")";
  return outside.empty() ? part : inside.empty() ? outside : str("(?:", part, "|", outside, ")");
}

class NewAdapter final : public Injector {
 public:
  NewAdapter(const CausalLM& model, const PeftConfig& config, const InjectOptions& options)
      : Injector(model, config, options) {
    part_of_model_ = family_ != nullptr && !family_->text_key.empty();
    experts_go_by_names_ = converts_expert_targets(model.family());
  }

  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    const bool saved = matcher_.saves(name);
    // "all-linear" leaves out what PEFT would not find again: a dense layer's "down_proj" in a model
    // whose experts' it takes the name for.
    const bool taken_for_expert = experts_go_by_names_ && names_expert_parameter(name);
    left_out_ += taken_for_expert && matcher_.all_linear() ? 1 : 0;
    const bool linear = name != head_ && !taken_for_expert;
    const auto choice = matcher_.match(name, linear);
    if (saved) {
      save_linear(name, slot);
    } else if (choice) {
      wrap_linear(name, slot, *choice);
    } else {
      keep_base(name, *slot, false);  // nothing below it goes by a name of its own
    }
  }

  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) override {
    const bool saved = matcher_.saves(name);
    const auto choice = matcher_.match(name, false);
    if (saved) {
      put_embedding(name, slot, trainable_copy(slot->weight_rows(0, slot->rows())));
      take(name + ".weight", static_cast<const Embedding&>(*slot).weight());
    } else if (choice) {
      if (!method_.trains_embeddings) {
        const std::string_view key =
            method_.switch_key.empty() ? std::string_view("peft_type") : method_.switch_key;
        throw ConfigError(str(options_.pointer, "/", key, ": ", method_.name, " on an embedding (",
                              name, ") is not supported"));
      }
      wrap_embedding(name, slot, method_.embedding(site(name, *choice), *slot));
    } else {
      keep_base(name, *slot, false);
    }
  }

  void router(const std::string& stored_name, std::unique_ptr<LinearLike>& slot) override {
    const std::string name = router_path(stored_name);
    if (matcher_.saves(name)) {
      save_linear(name, slot);
    } else if (const auto choice = router_choice(name)) {
      wrap_router(name, slot, *choice);
    }
  }

  // A parameter outside linear layers and embeddings: a norm's, say, when modules_to_save names the
  // norm.
  void parameter(const std::string& name, Tensor& value) override {
    const std::string module = name.substr(0, name.rfind('.'));
    if (value.defined() && matcher_.saves(module)) {
      value = trainable_copy(value);
      take(name, value);
      note_whole(module, value.numel(), 1, value.numel());
    }
  }

  Adapter finish() {
    wrap_stacks();
    parameter_targets_.check_all_used(options_.pointer);
    matcher_.check_all_used();
    if (adapter_.modules.empty()) {
      throw ConfigError(options_.pointer + "/target_modules: no module of this model matches");
    }
    if (left_out_ > 0) {
      adapter_.notices.push_back(str("\"all-linear\" leaves out ", left_out_,
                                     " layers of dense feed-forward blocks: PEFT takes their names "
                                     "for parameters of experts"));
    }
    adapter_.config = config_;
    if (matcher_.all_linear()) {  // PEFT, too, replaces the word by the names it came to
      adapter_.config.target_modules =
          std::vector<std::string>(target_names_.begin(), target_names_.end());
    }
    const auto* names = std::get_if<std::vector<std::string>>(&adapter_.config.target_modules);
    // With these PEFT takes no expression.
    const bool takes_expression = !config_.layers_to_transform;
    if (part_of_model_ && names != nullptr && !names->empty() && takes_expression) {
      adapter_.config.target_modules = within_language_model(*names, head_);
    }
    return std::move(adapter_);
  }

 private:
  bool part_of_model_ = false;  // the model is the language model of one of several parts
  i64 left_out_ = 0;
  bool experts_go_by_names_ = false;  // PEFT reads names of linear layers as parameters of experts

  void save_linear(const std::string& name, std::unique_ptr<LinearLike>& slot) {
    // Trained in the layout of checkpoints, so that it is saved as PEFT saves it.
    const Tensor weight = trainable_copy(checkpoint_weight(*slot));
    const Tensor bias = slot->bias().defined() ? trainable_copy(slot->bias()) : Tensor();
    put_linear(name, slot, weight, bias);
    take(name + ".weight", weight);
    if (bias.defined()) {
      take(name + ".bias", bias);
    }
  }
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
  freeze(model);
  NewAdapter injector(model, with_expert_targets(config, model.family(), options.pointer), options);
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
             r.like.rank == m.rank && r.like.whole == m.whole;
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
                r.like.whole       ? "whole"
                : r.like.rank == 0 ? "-"
                                   : std::to_string(r.like.rank),
                std::to_string(r.count), std::to_string(r.parameters));
  }
  return out + line("total", "", "", std::to_string(adapter.modules.size()),
                    std::to_string(adapter.parameters()));
}

}  // namespace inlay
