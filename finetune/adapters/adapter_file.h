// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// The tensors of an adapter folder under the names they have in the model, such as
/// "model.layers.0.self_attn.q_proj.lora_A.weight", whoever wrote them: without what PEFT,
/// torch.compile and distributed wrappers put before and between, and without an adapter's name.
/// Wherever a tensor is asked for, it counts as used.
class AdapterFile {
 public:
  /// Throws DataError when two tensors have one name here.
  explicit AdapterFile(const std::string& directory);
  const std::string& directory() const { return directory_; }

  /// Files made over the model without its head start one name further in ("layers.0" for
  /// "model.layers.0"), those made over a model of several kinds of input one further out. Where
  /// that makes them paths below `modules`, the names are put right; true if some were.
  bool rename_into(const std::set<std::string>& modules);

  bool has(const std::string& key) const { return by_key_.contains(key); }
  const std::vector<i64>& shape(const std::string& key) const { return by_key_.at(key)->shape; }
  /// Throws DataError unless tensor `key`, which must be there, is f32, f16 or bf16 in `shape`.
  void require_shape(const std::string& key, const Shape& shape) const;
  /// The values of tensor `key`, which must be there, f32; stored as f32, f16 or bf16 in `shape`.
  Tensor take(const std::string& key, const Shape& shape);
  /// The same into a tensor of its shape.
  void fill(const Tensor& target, const std::string& key);
  void drop(const std::string& key) { by_key_.erase(key); }

  /// The place of a tensor, for messages: `adapter_model.safetensors: "<its name there>"`.
  std::string where(const std::string& key) const;
  /// Names, as the file has them, of the tensors nobody asked for.
  std::vector<std::string> unused() const;
  /// A sentence about the first tensor taken that holds a value that is not finite, or "".
  const std::string& not_finite() const { return not_finite_; }

 private:
  std::string directory_;
  SafetensorsModel file_;
  std::map<std::string, const TensorEntry*> by_key_;
  std::string not_finite_;
};

/// "a, b and 3 more"
std::string listed(const std::vector<std::string>& names);

/// DataError unless both lists are empty: `unused` tensors have no place in the model, `missing`
/// ones are called for by the config.
void require_all_placed(const std::string& directory, const std::vector<std::string>& unused,
                        const std::vector<std::string>& missing);

}  // namespace inlay
