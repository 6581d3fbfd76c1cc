// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/tensor/tensor.h"

/// Modules know their parts by name, as checkpoints spell them:
/// "model.layers.0.self_attn.q_proj.weight".
namespace inlay {

class LinearLike;
class EmbeddingLike;
class ExpertStack;

/// Walks a module tree. Names are whole dotted paths. The slots may be refilled: that is how an
/// adapter or a quantised weight takes the place of a dense one. The defaults walk on into the
/// slot.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const std::string& name, Tensor& value);
  virtual void linear(const std::string& name, std::unique_ptr<LinearLike>& slot);
  virtual void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot);
  /// A linear layer that is none to PEFT, and that adapters leave alone: a router of experts.
  virtual void router(const std::string& name, std::unique_ptr<LinearLike>& slot);
  /// The matrices of one projection of all experts; `name` is that of the module around them.
  virtual void experts(const std::string& name, ExpertStack& stack);
  /// A value that checkpoints have and training never changes. By default passed over.
  virtual void buffer(const std::string& /*name*/, const Tensor& /*value*/) {}
};

class Module {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  virtual ~Module() = default;

  /// Shows the visitor every part, in the order of the forward pass; `name` is this module's own
  /// path ("" at the root).
  virtual void visit(Visitor& visitor, const std::string& name) = 0;
};

/// "a" and "b" -> "a.b"; an empty prefix adds nothing.
std::string dotted(std::string_view prefix, std::string_view name);

struct NamedTensor {
  std::string name;
  Tensor value;
};

/// Every parameter below `module`, or only those that want a gradient, in the order of the forward
/// pass.
std::vector<NamedTensor> parameters(Module& module, const std::string& name = "");
std::vector<NamedTensor> trainable_parameters(Module& module, const std::string& name = "");
bool has_trainable(Module& module);

}  // namespace inlay
