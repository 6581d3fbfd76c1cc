// SPDX-License-Identifier: Apache-2.0
#include "core/autograd/graph.h"

#include <atomic>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/kernels/elementwise.h"
#include "core/profile.h"
#include "core/tensor/autograd_meta.h"

namespace inlay {

/// One recorded operation. `inputs[i]` says where the gradient of input i goes: to another node's
/// output, or to a leaf.
struct Node {
  struct Edge {
    std::shared_ptr<Node> node;
    int output = 0;
    Tensor leaf;
    bool wanted() const { return node != nullptr || leaf.defined(); }
  };
  const char* name = "";
  u64 sequence =
      0;  // rises with every recording, so a node's inputs have lower numbers than itself
  std::vector<Edge> inputs;
  std::vector<Shape> output_shapes;
  BackwardMany backward;
};

/// How to make a tensor's values again; the values stay here from the first rebuilding to the last
/// holder's end.
struct Recipe {
  std::function<Tensor()> rebuild;
  Tensor value;
  bool exact = true;  // it makes the same bits
};

namespace {

bool& grad_flag() {
  thread_local bool enabled = true;
  return enabled;
}

// The recipe to hold in t's place, or null. What is to be rounded has its bf16 copy for a recipe.
std::shared_ptr<Recipe> recipe_of(const Tensor& t, Keep keep) {
  if (t.autograd() == nullptr) {
    return nullptr;
  }
  const AutogradMeta& meta = *t.autograd();
  const bool rounds = keep == Keep::kRounded && t.dtype() == DType::kF32 && meta.node != nullptr;
  if (rounds && meta.recipe == nullptr) {
    set_recipe(t, [rounded = t.to(DType::kBf16)] { return rounded.to(DType::kF32); });
    meta.recipe->exact = false;
  }
  return meta.recipe != nullptr && (rounds || meta.recipe->exact) ? meta.recipe : nullptr;
}

bool wants_grad(const Tensor& t) {
  return t.defined() && t.requires_grad();
}

Node::Edge edge_to(const Tensor& input) {
  if (!wants_grad(input)) {
    return {};
  }
  const AutogradMeta& meta = *input.autograd();
  return meta.node != nullptr ? Node::Edge{meta.node, meta.output, {}}
                              : Node::Edge{nullptr, 0, input};
}

void attach(const char* name, std::span<Tensor> ys, std::span<const Tensor> inputs,
            BackwardMany backward) {
  static std::atomic<u64> next_sequence{0};
  INLAY_ASSERT(inputs.size() <= 64);
  auto node = std::make_shared<Node>();
  node->name = name;
  node->sequence = next_sequence.fetch_add(1);
  for (const Tensor& input : inputs) {
    node->inputs.push_back(edge_to(input));
  }
  node->backward = std::move(backward);
  for (Tensor& y : ys) {
    std::shared_ptr<AutogradMeta>& meta = y.autograd();
    if (meta == nullptr) {
      meta = std::make_shared<AutogradMeta>();
    }
    meta->requires_grad = true;
    meta->node = node;
    meta->output = static_cast<int>(node->output_shapes.size());
    node->output_shapes.push_back(y.shape());
  }
}

BackwardMany many(Backward backward) {
  return [backward = std::move(backward)](std::span<Tensor> dys, Wants wants) {
    return backward(std::move(dys[0]), wants);
  };
}

// slot += addend. The first addend is taken as it is: most tensors have one user.
void accumulate(Tensor& slot, Tensor addend) {
  if (!slot.defined()) {
    slot = std::move(addend);
    return;
  }
  if (!slot.is_unique() || is_first_gradient(slot)) {
    slot = slot.clone();
  }
  on(slot).add(slot.in(), addend.contiguous().in(), slot.out());
}

void accumulate_leaf(const Tensor& leaf, Tensor grad) {
  check_shape("gradient of a leaf", grad, leaf.shape());
  Tensor& slot = leaf.autograd()->grad;
  if (!slot.defined() && !grad.is_unique()) {
    grad = grad.clone();
  }
  accumulate(slot, std::move(grad));
  slot.storage()->set_memory_class(MemoryClass::kGradients);
}

// Gradients that have arrived for the outputs of nodes not yet run, latest recorded first: when a
// node's turn comes, all its users have a higher sequence number and so have run.
class Engine {
 public:
  void push(const std::shared_ptr<Node>& node, int output, Tensor grad) {
    Pending& pending = waiting_[node->sequence];
    if (pending.node == nullptr) {
      pending.node = node;
      pending.grads.resize(node->output_shapes.size());
    }
    check_shape(node->name, grad, node->output_shapes[output]);
    accumulate(pending.grads[output], std::move(grad));
  }

  void run() {
    while (!waiting_.empty()) {
      Pending pending = std::move(std::prev(waiting_.end())->second);
      waiting_.erase(std::prev(waiting_.end()));
      step(*pending.node, pending.grads);
    }
  }

 private:
  struct Pending {
    std::shared_ptr<Node> node;
    std::vector<Tensor> grads;
  };

  void step(Node& node, std::vector<Tensor>& dys) {
    // A node without its closure has run before: backward() frees the graph.
    INLAY_ASSERT(node.backward != nullptr);
    u64 bits = 0;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      bits |= u64{node.inputs[i].wanted()} << i;
    }
    for (Tensor& dy : dys) {
      if (dy.defined()) {
        dy = dy.contiguous();
      }
    }
    const BackwardMany closure = std::exchange(node.backward, nullptr);
    const std::vector<Node::Edge> inputs = std::exchange(node.inputs, {});
    Grads grads = closure(dys, Wants(bits));
    INLAY_ASSERT(grads.size() == inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      Tensor grad = std::move(grads[i]);
      if (!inputs[i].wanted() || !grad.defined()) {
        continue;
      }
      if (inputs[i].node != nullptr) {
        push(inputs[i].node, inputs[i].output, std::move(grad));
      } else {
        accumulate_leaf(inputs[i].leaf, std::move(grad));
      }
    }
    profile::mark(node.name, profile::Phase::kBackward);
  }

  std::map<u64, Pending> waiting_;
};

}  // namespace

bool grad_enabled() {
  return grad_flag();
}

GradMode::GradMode(bool enabled) : FlagScope(grad_flag(), enabled) {}

bool should_record(std::initializer_list<Tensor> inputs) {
  if (!grad_enabled()) {
    return false;
  }
  for (const Tensor& t : inputs) {
    if (wants_grad(t)) {
      return true;
    }
  }
  return false;
}

Tensor record(const char* name, Tensor y, std::initializer_list<Tensor> inputs, Backward backward) {
  profile::mark(name, profile::Phase::kForward);
  if (should_record(inputs)) {
    attach(name, {&y, 1}, {inputs.begin(), inputs.size()}, many(std::move(backward)));
  }
  return y;
}

std::vector<Tensor> record_many(const char* name, std::vector<Tensor> ys,
                                const std::vector<Tensor>& inputs, BackwardMany backward) {
  profile::mark(name, profile::Phase::kForward);
  bool wanted = false;
  for (const Tensor& t : inputs) {
    wanted = wanted || wants_grad(t);
  }
  if (wanted && grad_enabled()) {
    attach(name, ys, inputs, std::move(backward));
  }
  return ys;
}

Saved save(const Tensor& t, Keep keep, bool needed) {
  Saved saved;
  if (!needed || !t.defined() || !grad_enabled()) {
    return saved;
  }
  saved.recipe_ = recipe_of(t, keep);
  if (saved.recipe_ == nullptr) {
    saved.tensor_ = t.detach();
  }
  return saved;
}

Tensor Saved::get() const {
  if (recipe_ == nullptr) {
    return tensor_;
  }
  if (!recipe_->value.defined()) {
    const NoGrad guard;
    recipe_->value = recipe_->rebuild();
  }
  return recipe_->value;
}

Tensor Saved::take() {
  Tensor value = get();
  tensor_ = Tensor();
  recipe_ = nullptr;
  return value;
}

void set_recipe(const Tensor& y, std::function<Tensor()> rebuild) {
  if (y.autograd() == nullptr) {
    return;  // not recorded: nothing will ask for it
  }
  y.autograd()->recipe = std::make_shared<Recipe>();
  y.autograd()->recipe->rebuild = std::move(rebuild);
}

void set_recipes(std::span<const Tensor> ys, std::function<std::vector<Tensor>()> rebuild) {
  // What is made is handed on one by one, so that each result lives as long as its own recipe.
  struct Batch {
    std::function<std::vector<Tensor>()> rebuild;
    std::vector<Tensor> made;
  };
  const auto batch = std::make_shared<Batch>();
  batch->rebuild = std::move(rebuild);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    set_recipe(ys[i], [batch, i] {
      if (batch->made.empty()) {
        batch->made = batch->rebuild();
      }
      return std::exchange(batch->made[i], Tensor());
    });
  }
}

void backward(const Tensor& loss, Tensor seed) {
  INLAY_ASSERT(loss.requires_grad());
  if (!seed.defined()) {
    if (loss.numel() != 1) {
      throw ShapeError(
          str("backward: the loss has shape ", loss.shape().to_string(), ", not one element"));
    }
    seed = Tensor::full(loss.shape(), 1.0F);
    seed.autograd() = std::make_shared<AutogradMeta>();
    seed.autograd()->is_first_gradient = true;
  }
  const NoGrad guard;
  if (loss.autograd()->node == nullptr) {
    accumulate_leaf(loss, std::move(seed));
    return;
  }
  Engine engine;
  engine.push(loss.autograd()->node, loss.autograd()->output, std::move(seed));
  engine.run();
}

Taken take(Tensor&& dy) {
  Taken taken = {std::move(dy), {}};
  const Tensor& values = taken.values;
  taken.result =
      values.is_unique() ? values.detach() : Tensor::empty(values.shape(), values.dtype());
  return taken;
}

bool is_first_gradient(const Tensor& dy) {
  return dy.autograd() != nullptr && dy.autograd()->is_first_gradient;
}

Tensor trainable_leaf(const Tensor& t) {
  return wants_grad(t) && t.autograd()->node == nullptr ? t : Tensor();
}

Tensor gradient_so_far(const Tensor& leaf) {
  if (!leaf.defined() || !leaf.autograd()->grad.defined() || !leaf.autograd()->grad.is_unique()) {
    return {};
  }
  return leaf.autograd()->grad;
}

Tensor checkpoint(std::function<Tensor(const Tensor& x)> body, const Tensor& x) {
  return checkpoint([body = std::move(body)](std::span<const Tensor> xs) { return body(xs[0]); },
                    std::vector<Tensor>{x});
}

namespace {

std::vector<Tensor> detached(std::span<const Tensor> xs) {
  std::vector<Tensor> out;
  for (const Tensor& x : xs) {
    out.push_back(x.defined() ? x.detach() : Tensor());
  }
  return out;
}

}  // namespace

Tensor checkpoint(std::function<Tensor(std::span<const Tensor> xs)> body,
                  const std::vector<Tensor>& xs) {
  if (!grad_enabled()) {
    return body(xs);
  }
  Tensor y;
  {
    const NoGrad guard;
    y = body(detached(xs));
  }
  std::vector<bool> wanted;
  for (const Tensor& x : xs) {
    wanted.push_back(x.defined() && x.requires_grad());
  }
  auto again = [body = std::move(body), kept = detached(xs), wanted](std::span<Tensor> dys,
                                                                     Wants) -> Grads {
    const std::vector<Tensor> inputs = detached(kept);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].defined()) {
        inputs[i].set_requires_grad(wanted[i]);
      }
    }
    Tensor output;
    {
      const GradMode recording(true);
      output = body(inputs);
    }
    if (output.requires_grad()) {
      backward(output, std::move(dys[0]));
    }
    Grads grads;
    for (const Tensor& input : inputs) {
      grads.push_back(input.defined() ? input.grad() : Tensor());
    }
    return grads;
  };
  // Recorded even when no input wants anything: leaves inside `body` may.
  attach("checkpoint", {&y, 1}, xs, std::move(again));
  return y;
}

}  // namespace inlay
