// SPDX-License-Identifier: Apache-2.0
#include "nn/module.h"

#include "nn/embedding.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"

namespace inlay {
namespace {

class Collector : public Visitor {
 public:
  explicit Collector(bool only_trainable) : only_trainable_(only_trainable) {}
  void parameter(const std::string& name, Tensor& value) override {
    if (value.defined() && (!only_trainable_ || value.requires_grad())) {
      found.push_back({name, value});
    }
  }
  std::vector<NamedTensor> found;

 private:
  bool only_trainable_;
};

}  // namespace

void Visitor::parameter(const std::string& /*name*/, Tensor& /*value*/) {}

void Visitor::linear(const std::string& name, std::unique_ptr<LinearLike>& slot) {
  slot->visit(*this, name);
}

void Visitor::embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) {
  slot->visit(*this, name);
}

void Visitor::router(const std::string& name, std::unique_ptr<LinearLike>& slot) {
  slot->visit(*this, name);
}

void Visitor::experts(const std::string& name, ExpertStack& stack) {
  stack.visit(*this, name);
}

std::string dotted(std::string_view prefix, std::string_view name) {
  std::string out(prefix);
  if (!out.empty()) {
    out += '.';
  }
  return out += name;
}

std::vector<NamedTensor> parameters(Module& module, const std::string& name) {
  Collector collector(false);
  module.visit(collector, name);
  return std::move(collector.found);
}

std::vector<NamedTensor> trainable_parameters(Module& module, const std::string& name) {
  Collector collector(true);
  module.visit(collector, name);
  return std::move(collector.found);
}

bool has_trainable(Module& module) {
  return !trainable_parameters(module).empty();
}

}  // namespace inlay
