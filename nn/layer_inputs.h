// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/kernels/activation.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/norm.h"
#include "nn/weights.h"

/// Inputs that each layer gets of its own for each token, beside the stream (Gemma 3n and 4).
namespace inlay {

struct LayerInputsPlan {
  i64 width = 0;  // p: of a layer's input; 0: there are none
  i64 rows = 0;   // of the table of tokens
  kernels::Activation activation = kernels::Activation::kGeluTanh;
  /// The parts of the whole model, by their paths.
  std::string table = "model.embed_tokens_per_layer";
  std::string projection = "model.per_layer_model_projection";
  std::string norm = "model.per_layer_projection_norm";
  /// The parts of a layer, by their names in it.
  std::string gate = "per_layer_input_gate", up = "per_layer_projection",
              after = "post_per_layer_input_norm";
};

/// For layer l the values [l p, (l + 1) p) of
///   (norm(projection(x) C^-0.5) + table[id] p^0.5) 2^-0.5,   x [N, C] what the layers begin with
/// where the norm is over the p values of each layer.
class LayerInputs final : public Module {
 public:
  LayerInputs(const LayerInputsPlan& plan, const NormPlan& norm, i64 layers, i64 hidden_size,
              double init_std, WeightSource& weights);

  /// One [N, p] for each layer.
  std::vector<Tensor> forward(const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  LayerInputsPlan plan_;
  i64 layers_;
  float projection_scale_, table_scale_;
  std::unique_ptr<EmbeddingLike> table_;
  std::unique_ptr<LinearLike> projection_;
  Norm norm_;
};

/// What a layer makes of its input e: x + norm(up(act(gate(x)) * e)).
class LayerInputGate final : public Module {
 public:
  /// `layer`: the whole path of the layer.
  LayerInputGate(const LayerInputsPlan& plan, const NormPlan& norm, const std::string& layer,
                 i64 hidden_size, double init_std, WeightSource& weights);

  Tensor forward(const Tensor& x, const Tensor& input, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& layer) override;

 private:
  LayerInputsPlan plan_;
  std::unique_ptr<LinearLike> gate_, up_;
  Norm after_;
};

}  // namespace inlay
