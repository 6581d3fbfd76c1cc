// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/finished_adapter.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "finetune/adapters/adapted_layers.h"
#include "finetune/adapters/injector.h"
#include "finetune/adapters/lora.h"
#include "finetune/adapters/rows_and_biases.h"
#include "nn/models/families.h"

namespace inlay {
namespace {

// The paths of a model's modules that hold parameters, and whether its head is its embedding.
class ModuleNames final : public Visitor {
 public:
  explicit ModuleNames(const CausalLM& model) : family_(find_family(model.family())) {}

  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    paths.insert(name);
    tied = tied || dynamic_cast<const TiedHead*>(slot.get()) != nullptr;
  }
  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& /*slot*/) override {
    paths.insert(name);
  }
  void parameter(const std::string& name, Tensor& /*value*/) override {
    paths.insert(name.substr(0, name.rfind('.')));
  }
  void router(const std::string& name, std::unique_ptr<LinearLike>& /*slot*/) override {
    paths.insert(family_ != nullptr ? router_in_memory(*family_, name) : name);
  }
  void experts(const std::string& name, ExpertStack& /*stack*/) override { paths.insert(name); }
  std::set<std::string> paths;
  bool tied = false;

 private:
  const Family* family_;  // null for models that are of none
};

// What PEFT adapts where an adapter's config names no modules.
PeftConfig with_targets(const FinishedPeftConfig& config, const CausalLM& model) {
  PeftConfig out = config;
  if (!config.named_targets) {
    const Family& family = *find_family(model.family());
    const bool parameters = !own_keys<LoraKeys>(out).target_parameters.empty();
    if (family.default_lora_targets.empty() && !parameters) {
      throw ConfigError(str("target_modules: missing, and PEFT adapts no modules of ",
                            family.article, " by default"));
    }
    out.target_modules = family.default_lora_targets;
  }
  return out;
}

// Whether `rows` are those of the layer, which decodes them piece by piece: a table may be large.
template <typename Layer>
bool same_rows(const Tensor& rows, const Layer& layer) {
  constexpr i64 kRows = 1024;
  for (i64 begin = 0; begin < rows.dim(0); begin += kRows) {
    const i64 end = std::min(rows.dim(0), begin + kRows);
    if (rows.slice(0, begin, end).to_vector() != layer.weight_rows(begin, end).to_vector()) {
      return false;
    }
  }
  return true;
}

bool same_weight(const Tensor& weight, const LinearLike& layer) {
  return layer.checkpoint_layout() == WeightLayout::kInOut
             ? weight.to_vector() == checkpoint_weight(layer).to_vector()
             : same_rows(weight, layer);
}

class FinishedInjector final : public Injector {
 public:
  FinishedInjector(const CausalLM& model, const FinishedPeftConfig& finished,
                   const PeftConfig& config, const InjectOptions& options, AdapterFile& file,
                   bool tied)
      : Injector(model, config, options), finished_(finished), file_(file), tied_(tied) {}

  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    const bool shared =
        tied_ && name == head_ && !matcher_.saves(name) && !matcher_.saves(input_name_);
    if (shared && table_changed_) {  // saved by modules_to_save, a table is trained apart
      slot = input_table_->tied_head();
    }
    const auto choice = factors_for(name, name != head_, method_.linear_tensors);
    use_own_weights(name, slot, shared, choice.has_value());
    if (choice) {
      if (finished_.lora_bias) {
        add_factor_bias(name, slot, *choice);
      }
      const std::size_t first = adapter_.tensors.size();
      wrap_linear(name, slot, *choice);
      fill_from(first);
    }
    if (const std::optional<ReplacedRows> rows = trained_rows(name, slot->in_features())) {
      check_rows(name, *rows, slot->out_features());
      slot = std::make_unique<LinearWithRows>(std::move(slot), *rows);
    }
  }

  void experts(const std::string& name, ExpertStack& stack) override {
    const std::size_t first = adapter_.tensors.size();
    Injector::experts(name, stack);
    fill_from(first);
  }

  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) override {
    const bool is_input = input_table_ == nullptr;
    const auto choice = factors_for(name, false, method_.embedding_tensors);
    std::unique_ptr<TableUpdate> update;
    if (choice && method_.embedding != nullptr) {
      update = method_.embedding(site(name, *choice), *slot);
      for (const NamedTensor& t : update->tensors()) {  // of another model, these tell it best
        require_shape(dotted(name, t.name), t.value.shape());
      }
    }
    const bool own_table = use_own_table(name, slot, is_input && tied_);
    if (update != nullptr) {
      TableUpdate& made = *update;
      const EmbeddingLike& table = *slot;
      const std::size_t first = adapter_.tensors.size();
      wrap_embedding(name, slot, std::move(update));
      fill_from(first);
      made.settle(table);
    }
    const std::optional<ReplacedRows> rows = trained_rows(name, slot->width());
    if (rows) {
      check_rows(name, *rows, slot->rows());
      slot = std::make_unique<EmbeddingWithRows>(std::move(slot), *rows);
    }
    if (is_input) {
      input_table_ = slot.get();
      input_name_ = name;
      const bool head_has_rows = file_.has(str(head_, kTokens));
      table_changed_ = own_table || (rows && !head_has_rows);
    }
  }

  void router(const std::string& stored_name, std::unique_ptr<LinearLike>& slot) override {
    const std::string name = router_path(stored_name);
    use_own_weights(name, slot, false, false);
    if (const auto choice = router_choice(name)) {
      const std::size_t first = adapter_.tensors.size();
      wrap_router(name, slot, *choice);
      fill_from(first);
    }
  }

  // Norms. Linear layers and embeddings are not walked into.
  void parameter(const std::string& name, Tensor& value) override {
    const std::string module = name.substr(0, name.rfind('.'));
    if (!value.defined()) {
      return;
    }
    if (file_.has(name)) {
      value = file_.take(name, value.shape());
      take(name, value);
      note_whole(module, value.numel(), 1, value.numel());
    } else if (matcher_.saves_by_name(module)) {
      missing_.push_back(name);
    }
  }

  FinishedAdapter finish() {
    const std::size_t first_of_experts = adapter_.tensors.size();
    wrap_stacks();
    fill_from(first_of_experts);
    for (const auto& [name, ids] : finished_.trained_tokens) {
      // Where the head is the embedding, equal rows of both are stored once.
      const bool stored_once = tied_ && !found_tokens_.empty() && ends_as_text(head_, name);
      if (!found_tokens_.contains(name) && !stored_once) {
        missing_.push_back((name.empty() ? input_name_ : name) + kTokens);
      }
    }
    if (adapter_.modules.empty()) {
      matcher_.check_all_used();  // of another model altogether: the names tell that best
    }
    adapter_.config = config_;
    adapter_.not_finite = file_.not_finite();
    return {std::move(adapter_), std::move(missing_)};
  }

 private:
  static constexpr const char* kTokens = ".token_adapter.trainable_tokens_delta";

  // The update of a module that the config means, or that has factors all the same: on top of a
  // weight saved whole, as PEFT once stored a module both targeted and saved, or in a head that was
  // tied to its embedding in training, too.
  std::optional<ModuleMatcher::Choice> factors_for(const std::string& name, bool all_linear,
                                                   std::span<const std::string_view> tensors) {
    const bool saved = matcher_.saves_by_name(name);
    const auto choice = matcher_.match(name, all_linear);
    const bool has_factors = std::ranges::all_of(
        tensors, [&](std::string_view tensor) { return file_.has(dotted(name, tensor)); });
    const bool over_saved = saved && file_.has(name + ".base_layer.weight");
    const bool over_tied = finished_.ensure_weight_tying && tied_ && name == head_;
    if (!choice && has_factors && (over_saved || over_tied)) {
      return matcher_.factors(name);
    }
    return choice;
  }

  // "<name>.<part>" or "<name>.base_layer.<part>", whichever the file has, else "".
  std::string own_key(const std::string& name, const char* part) const {
    for (const char* infix : {".base_layer.", "."}) {
      const std::string key = name + infix + part;
      if (file_.has(key)) {
        return key;
      }
    }
    return "";
  }

  void require_if_saved(const std::string& name, const char* part, bool adapted) {
    if (!adapted && matcher_.saves_by_name(name)) {
      missing_.push_back(dotted(name, part));
    }
  }

  // A head that shares the embedding's table has taken that over with it.
  void use_own_weights(const std::string& name, std::unique_ptr<LinearLike>& slot, bool shared,
                       bool adapted) {
    const bool in_out = slot->checkpoint_layout() == WeightLayout::kInOut;
    const std::string weight_key = shared ? "" : own_key(name, "weight");
    const std::string bias_key = slot->bias().defined() ? own_key(name, "bias") : "";
    if (weight_key.empty() && !shared) {
      require_if_saved(name, "weight", adapted);
    }
    if (bias_key.empty() && slot->bias().defined()) {
      require_if_saved(name, "bias", adapted);
    }
    const Tensor bias =
        bias_key.empty() ? slot->bias() : file_.take(bias_key, slot->bias().shape());
    const auto take_bias = [&] {
      if (!bias_key.empty()) {
        take(bias_key, bias);
      }
    };
    if (!weight_key.empty()) {
      const Shape shape = in_out ? Shape({slot->in_features(), slot->out_features()})
                                 : Shape({slot->out_features(), slot->in_features()});
      const std::string where = file_.where(weight_key);
      const Tensor weight = file_.take(weight_key, shape);
      const bool saved = matcher_.saves(name);
      const LinearLike& base = innermost<AdaptedLinear>(*slot);
      if (saved || !same_weight(weight, base)) {
        note_own(where, saved, &base != slot.get());
        take(weight_key, weight);
        take_bias();
        put_linear(name, slot, weight, bias);
        return;
      }
    }
    take_bias();
    if (!bias_key.empty()) {
      slot = std::make_unique<LinearWithBias>(std::move(slot), bias);
    }
  }

  // Whether the table now is the file's and not the model's. Where it is the head's, too, the file
  // may have it under either name; the head's comes last, as it does where PEFT reads both.
  bool use_own_table(const std::string& name, std::unique_ptr<EmbeddingLike>& slot, bool shared) {
    std::string key = own_key(name, "weight");
    if (key.empty()) {
      require_if_saved(name, "weight", false);
    }
    const std::string head_key = shared && !matcher_.saves(head_) ? own_key(head_, "weight") : "";
    if (!head_key.empty() && !matcher_.saves(name)) {
      if (!key.empty()) {
        file_.drop(key);
      }
      key = head_key;
    }
    if (key.empty()) {
      return false;
    }
    const std::string where = file_.where(key);
    check_table_rows(where, key, slot->rows(), slot->width());
    const Tensor table = file_.take(key, {slot->rows(), slot->width()});
    const bool saved = matcher_.saves(name);
    const EmbeddingLike& base = innermost<AdaptedEmbedding>(*slot);
    if (!saved && same_rows(table, base)) {
      return false;
    }
    note_own(where, saved, &base != slot.get());
    take(key, table);
    put_embedding(name, slot, table);
    return true;
  }

  void check_table_rows(const std::string& where, const std::string& key, i64 rows, i64 width) {
    const std::vector<i64> shape = file_.shape(key);
    if (shape.size() == 2 && shape[1] == width && shape[0] != rows) {
      throw DataError(str(where, ": has ", shape[0], " rows and the model's table ", rows,
                          ": the adapter was trained over a model whose vocabulary had been "
                          "resized; resize the base to ",
                          shape[0], " tokens first"));
    }
  }

  void note_own(const std::string& where, bool saved, bool adapted_before) {
    if (saved) {
      return;  // with modules_to_save it is what everyone expects
    }
    if (adapted_before) {
      throw DataError(where +
                      ": differs from the model's own, and an adapter given before this one "
                      "was put over that");
    }
    adapter_.notices.push_back(where + ": differs from the model's own and takes its place");
  }

  // y = W x + (b + s b_B) + s B A x: a bias behind B is one of the whole layer.
  void add_factor_bias(const std::string& name, std::unique_ptr<LinearLike>& slot,
                       const ModuleMatcher::Choice& choice) {
    const std::string key = name + ".lora_B.bias";
    if (!file_.has(key)) {
      missing_.push_back(key);
      return;
    }
    const i64 out = slot->out_features();
    const Tensor added = file_.take(key, {out});
    take(key, added);
    Tensor bias = scale(added, static_cast<float>(lora_scale(site(name, choice))));
    if (slot->bias().defined()) {
      bias = add(std::move(bias), slot->bias());
    } else if (adapter_.not_mergeable.empty()) {
      adapter_.not_mergeable = str("lora_bias trained a bias for ", name,
                                   ", and the model's layer has none to merge it into");
    }
    slot = std::make_unique<LinearWithBias>(std::move(slot), bias);
  }

  void require_shape(const std::string& key, const Shape& shape) const {
    if (file_.has(key)) {
      file_.require_shape(key, shape);
    }
  }

  std::optional<ReplacedRows> trained_rows(const std::string& name, i64 width) {
    const std::string key = name + kTokens;
    if (!file_.has(key)) {
      return {};
    }
    const auto it = std::ranges::find_if(finished_.trained_tokens, [&](const auto& entry) {
      return entry.first.empty() ? input_table_ == nullptr : ends_as_text(name, entry.first);
    });
    if (it == finished_.trained_tokens.end()) {
      return {};  // stays, as a tensor that the config knows nothing of
    }
    found_tokens_.insert(it->first);
    ReplacedRows rows;
    rows.ids.assign(it->second.begin(), it->second.end());
    rows.values = file_.take(key, {static_cast<i64>(rows.ids.size()), width});
    take(key, rows.values);
    note_whole(name, rows.values.dim(0), width, rows.values.numel());
    return rows;
  }

  void check_rows(const std::string& name, const ReplacedRows& rows, i64 count) const {
    for (const i32 id : rows.ids) {
      if (id < 0 || id >= count) {
        throw ConfigError(
            str("/trainable_token_indices: ", id, " is no row of ", name, ", which has ", count));
      }
    }
  }

  void fill_from(std::size_t first) {
    for (std::size_t i = first; i < adapter_.tensors.size(); ++i) {
      const AdapterTensor& t = adapter_.tensors[i];
      if (file_.has(t.key)) {
        file_.fill(t.value, t.key);
      } else {
        missing_.push_back(t.key);
      }
    }
  }

  const FinishedPeftConfig& finished_;
  AdapterFile& file_;
  bool tied_;
  const EmbeddingLike* input_table_ = nullptr;
  std::string input_name_;
  bool table_changed_ = false;
  std::set<std::string> found_tokens_;
  std::vector<std::string> missing_;
};

}  // namespace

FinishedAdapter inject_finished_adapter(CausalLM& model, const FinishedPeftConfig& config,
                                        AdapterFile& file, double scale) {
  freeze(model);
  ModuleNames names(model);
  model.visit(names, "");
  const bool renamed = file.rename_into(names.paths);
  FinishedInjector injector(model, config, with_targets(config, model),
                            {.scale = scale, .pointer = ""}, file, names.tied);
  model.visit(injector, "");
  FinishedAdapter out = injector.finish();
  if (renamed) {
    out.adapter.notices.push_back(
        file.directory() +
        ": the adapter names its modules as a model without this one's head, or with more around "
        "it, does; they are taken for those of the same names here");
  }
  return out;
}

}  // namespace inlay
