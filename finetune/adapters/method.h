// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <any>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/random.h"
#include "finetune/config/peft_config.h"
#include "nn/embedding.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"

/// What an adapter method is: a row of the table in registry.cc, and what it makes for the layers
/// that it is asked to adapt. The layers themselves, and all that goes round them (which are meant,
/// what is frozen, files, merging), are written once, in AdaptedLinear and Injector.
namespace inlay {

class Problems;

/// The keys of a method's own in a config, or their defaults.
template <class Keys>
const Keys& own_keys(const PeftConfig& config) {
  static const Keys defaults;
  const Keys* keys = std::any_cast<Keys>(&config.own);
  return keys != nullptr ? *keys : defaults;
}
/// The same to be read into.
template <class Keys>
Keys& own_keys(PeftConfig& config) {
  if (std::any_cast<Keys>(&config.own) == nullptr) {
    config.own = Keys();
  }
  return *std::any_cast<Keys>(&config.own);
}

/// Whether a config says how to train, or how an adapter was trained.
enum class AdapterStage { kToTrain, kFinished };

/// A layer that a method is asked to adapt.
struct UpdateSite {
  std::string name;  // its path, by which random numbers are drawn from `key`
  const PeftConfig& config;
  i64 rank = 0;  // with alpha: what the config has for this layer
  double alpha = 0.0;
  double weight = 1.0;  // of this adapter among several: multiplies the update
  RandomKey key{0};
};

/// One adapter's change to one linear layer.
class LayerUpdate {
 public:
  LayerUpdate() = default;
  LayerUpdate(const LayerUpdate&) = delete;
  LayerUpdate& operator=(const LayerUpdate&) = delete;
  virtual ~LayerUpdate() = default;

  /// Puts the update into `layer`: what `base`, the layer below, is in this pass, without scales.
  /// Factors and scales may be results of recorded operations on what is trained: DoRA's m / n, or
  /// products of shared factors with trained vectors.
  virtual void add_to(Projection& layer, const LinearLike& base, const Pass& pass) const = 0;
  /// Whether add_to sets scales. What is added to the layer later stands outside of them.
  virtual bool scales() const { return false; }
  /// The rows of the weight that `base` with the update amounts to, of which `rows` [n, in] are the
  /// base's own, from `begin` on.
  virtual Tensor merged_rows(const Tensor& rows, i64 begin, const LinearLike& base) const = 0;
  virtual Tensor merged_bias(const Tensor& bias) const { return bias; }
  /// Its tensors by the names that they have in PEFT's file behind the layer's, in the order in
  /// which they are trained.
  virtual std::vector<NamedTensor> tensors() const = 0;
  /// The numbers of these that a token is multiplied with.
  virtual i64 product_parameters() const = 0;
  /// 0 where the method has none.
  virtual i64 rank() const { return 0; }
};

/// One adapter's change to one table of embeddings.
class TableUpdate {
 public:
  TableUpdate() = default;
  TableUpdate(const TableUpdate&) = delete;
  TableUpdate& operator=(const TableUpdate&) = delete;
  virtual ~TableUpdate() = default;

  /// The rows of the tokens `ids`, of which `rows` [ids, width] are the table's own.
  /// `keep` is of what backward reads.
  virtual Tensor apply(const Tensor& rows, const Indices& ids, Keep keep) const = 0;
  virtual std::vector<NamedTensor> tensors() const = 0;
  virtual i64 rank() const { return 0; }
  /// Called once where the tensors were read from a file, and will not change: for what follows
  /// from them and the table.
  virtual void settle(const EmbeddingLike& /*base*/) {}
};

/// A row of adapter_methods().
struct AdapterMethod {
  std::string_view name;       // for people: "LoRA"
  std::string_view peft_type;  // in adapter_config.json: "LORA"
  /// Of several methods with one peft_type the key that chooses this one, and how it is set; empty
  /// and null for the one that is meant where no key says otherwise.
  std::string_view switch_key;
  bool (*switched_on)(const PeftConfig& config) = nullptr;

  std::unique_ptr<LayerUpdate> (*linear)(const UpdateSite& site, const LinearLike& base) = nullptr;
  /// Null where the method takes no embeddings at all.
  std::unique_ptr<TableUpdate> (*embedding)(const UpdateSite& site,
                                            const EmbeddingLike& base) = nullptr;
  /// Null where the method takes no parameters of all experts.
  ExpertUpdate (*experts)(const UpdateSite& site, const ExpertStack& stack) = nullptr;
  /// Otherwise an embedding is adapted in finished adapters alone.
  bool trains_embeddings = false;

  /// What the tensors are called in PEFT's file: "lora_A.weight" belongs to a module, behind whose
  /// name that of an adapter may stand; "lora_embedding_A" stands for itself.
  std::vector<std::string_view> linear_tensors, embedding_tensors;
  /// Shows the keys that only methods of this peft_type have, beside those of PeftConfig.
  void (*fields)(PeftConfig& config, FieldVisitor& v, AdapterStage stage) = nullptr;
  /// Says what in the config of a finished adapter cannot be computed. May be null.
  void (*check_finished)(const PeftConfig& config, Problems& problems) = nullptr;
  /// Writes the keys of adapter_config.json that not every method has.
  void (*write_keys)(const PeftConfig& config, nlohmann::ordered_json& json) = nullptr;
  /// Those of them that an adapter's values are trained for: a run that goes on from it must agree.
  std::vector<std::string_view> fixed_keys;
};

/// Zeros to train, among the memory of adapters.
Tensor trainable_zeros(const Shape& shape);

}  // namespace inlay
