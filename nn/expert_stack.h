// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/ops/experts.h"
#include "nn/module.h"
#include "nn/pass.h"

namespace inlay {

class WeightSource;

/// What the matrices of one projection of all experts are, and what checkpoints call them. In
/// memory, and so to PEFT, they are one parameter of a module "experts", whatever files have.
struct ExpertStackSpec {
  i64 experts = 0;
  i64 chosen = 1;       // of them, for each row
  i64 in = 0, out = 0;  // `out`: of gate and up together, where the projection is both
  /// The parameter's name in memory, below the module of the experts: "gate_up_proj".
  std::string parameter = {};
  /// Files with a matrix an expert call it "<N>.<part>.weight" below that module. In GGUF files
  /// "<part>" is the tensor of all experts. `out` rows are shared out equally among them.
  std::vector<std::string> parts = {};
  /// The tensor [E, ..] of all experts and parts where files have that, beside the module and not
  /// below it, as all that files have of such a stack; empty: as in memory.
  std::string stack = {};
  bool stacked = false;      // files of the family have such a tensor, and no matrix an expert
  bool in_out = false;       // it is [E, in, out], else [E, out, in]
  bool interleaved = false;  // rows of its parts take turns, else they follow one another
  bool bias = false;         // "<parameter>_bias" [E, out], in the order of the rows
  double init_std = 0.02;

  /// Below the module: of the matrix of expert `e` and part `p`, and of the tensors of all.
  std::string name_of(i64 e, i64 p) const;
  std::string stack_name() const { return stack.empty() ? parameter : stack; }
  std::string bias_name() const { return parameter + "_bias"; }
  /// Where files have one of these names, for the experts' module `module`.
  std::string path(const std::string& module, const std::string& name) const;
};

/// The matrices as a source has them.
struct ExpertStackWeights {
  std::vector<ExpertMatrices> parts;  // all of `out` in one, or as many as the spec has
  /// Of the trained tensors of each part, in order.
  std::vector<std::vector<std::string>> names;
  /// Of the bias of each part, where there is one.
  std::vector<std::string> bias_names;
  bool interleaved = false;  // the rows of a single part alternate between the spec's parts
};

/// An adapter's change to all matrices of a stack.
struct ExpertStackUpdate {
  ExpertUpdate what;
  std::string a_name, b_name;  // as adapters' files have them, below the module of the experts
};

/// The matrices of one projection of all experts of a block, frozen in any storage or trained, and
/// what adapters add to them.
class ExpertStack final : public Module {
 public:
  /// `name`: the path of the module of the experts.
  ExpertStack(const ExpertStackSpec& spec, const std::string& name, WeightSource& weights);

  ExpertProjection projection(const Pass& pass) const;
  const ExpertStackSpec& spec() const { return spec_; }
  bool interleaved() const { return weights_.interleaved; }
  /// The matrix [out, in] f32 of an expert, its rows as the parameter in memory has them, adapters
  /// included.
  Tensor matrix(i64 expert) const;
  /// The biases [E, out] in the same order, or an undefined tensor.
  Tensor bias() const;
  void add_update(ExpertStackUpdate update) { updates_.push_back(std::move(update)); }
  const std::vector<ExpertStackUpdate>& updates() const { return updates_; }
  void prepack(GemmCompute compute);
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  ExpertStackSpec spec_;
  ExpertStackWeights weights_;
  std::vector<ExpertStackUpdate> updates_;
};

}  // namespace inlay
