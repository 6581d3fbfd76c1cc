// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

/// Define-by-run reverse-mode differentiation.
///
/// An op computes its result, then calls `record` with its inputs and a closure that turns the
/// gradient of the result into gradients of the inputs. What the closure captures is the memory
/// bill, so an op captures through `save`, in the word of its caller:
///   * save(x, keep, needed) holds nothing when the value will not be read (a frozen weight's x,
///     say);
///   * where x can be made again from cheaper things that are held anyway (its `set_recipe`: a
///     norm's output from its input, a gate's product from its factors), save holds the recipe and
///     x itself can be freed. Backward makes x once and keeps it until the last holder of the
///     recipe is done with it;
///   * else `keep` says whether it is held as it is or rounded.
namespace inlay {

struct Recipe;

/// Sets a flag, and what it was before at the end of the scope.
class FlagScope {
 public:
  FlagScope(bool& flag, bool value) : flag_(flag), previous_(flag) { flag_ = value; }
  ~FlagScope() { flag_ = previous_; }
  FlagScope(const FlagScope&) = delete;
  FlagScope& operator=(const FlagScope&) = delete;

 private:
  bool& flag_;
  bool previous_;
};

/// Gradients in the order of an op's inputs; an entry may be undefined where it was not wanted.
using Grads = std::vector<Tensor>;

/// Which of an op's inputs want a gradient.
class Wants {
 public:
  explicit Wants(u64 bits) : bits_(bits) {}
  bool operator[](int input) const { return ((bits_ >> input) & 1U) != 0; }

 private:
  u64 bits_;
};

/// dy -> gradients of the inputs. `dy` is contiguous; whoever writes over it must `take` it first.
using Backward = std::function<Grads(Tensor dy, Wants wants)>;
/// The same for an op of several results; an undefined dy means that result was not used.
using BackwardMany = std::function<Grads(std::span<Tensor> dys, Wants wants)>;

/// A gradient given up by the operation that it came to.
struct Taken {
  Tensor values;
  Tensor result;  // of the same shape and type, to be written: over the values, or beside them
};
/// Takes dy, of which `result` is the very memory if nobody else holds it. There is no dy
/// afterwards, so what else is to be computed from it comes before.
Taken take(Tensor&& dy);

/// True when some defined tensor of `inputs` wants a gradient and recording is on.
bool should_record(std::initializer_list<Tensor> inputs);

/// Attaches the operation to y when should_record(inputs); returns y. Undefined inputs stand for
/// absent options.
Tensor record(const char* name, Tensor y, std::initializer_list<Tensor> inputs, Backward backward);
std::vector<Tensor> record_many(const char* name, std::vector<Tensor> ys,
                                const std::vector<Tensor>& inputs, BackwardMany backward);

/// How a value is kept for backward. Whatever the word, a recipe for its very bits is kept in its
/// place where there is one.
enum class Keep : u8 {
  kExact,
  /// As bf16, where it is f32 and an operation recorded it: half the memory for one rounding.
  /// Leaves and inputs are held by others anyway and stay exact.
  kRounded,
  /// It is made again: who says so has told how (`set_recipe`), or asks the operation to.
  kRecipe,
};

/// A value held for backward: the tensor, or the recipe it can be made from.
class Saved {
 public:
  Saved() = default;
  /// The value, made again if need be; undefined when nothing was held.
  Tensor get() const;
  /// The same, and nothing is held any more: where no one else holds it, the value is the caller's
  /// alone.
  Tensor take();

 private:
  friend Saved save(const Tensor& t, Keep keep, bool needed);
  Tensor tensor_;
  std::shared_ptr<Recipe> recipe_;
};

/// Holds t for backward when `needed` and recording is on. All that save a t rounded share one
/// copy, and in backward its f32 form. An op that reads its own result in backward must save it and
/// not capture it (a cycle that never frees).
Saved save(const Tensor& t, Keep keep, bool needed = true);

/// Tells how the values of y can be made again. The closure must capture through `save` what it
/// reads.
void set_recipe(const Tensor& y, std::function<Tensor()> rebuild);
/// The same for several results of one computation: the first one that is asked for makes them all.
void set_recipes(std::span<const Tensor> ys, std::function<std::vector<Tensor>()> rebuild);

/// Accumulates d(loss)/d(leaf) into the gradient of every leaf that wants one, and frees the graph
/// on the way. `seed` is d(loss)/d(loss): by default 1, for which loss must have one element.
/// Contributions are added in the reverse order of recording, so the bits do not depend on threads.
void backward(const Tensor& loss, Tensor seed = {});

/// Whether `dy`, as it came to an operation's backward, is the very 1 that backward() began with:
/// what can be known without reading it.
bool is_first_gradient(const Tensor& dy);

/// t when it is a leaf that wants a gradient, else undefined: what an op captures to add its share
/// of the gradient in place, without a copy as large as the weight.
Tensor trainable_leaf(const Tensor& t);
/// The gradient of such a leaf so far, to be added to; the op then returns none for it. Undefined
/// where there is none yet (or no leaf), or others hold it: then the op returns its share.
Tensor gradient_so_far(const Tensor& leaf);

/// Runs `body(x)` without recording, keeping only x; backward runs it again, recorded (Chen et al.
/// 2016, arXiv:1604.06174). Leaves that `body` uses get their gradients as if it had been recorded.
Tensor checkpoint(std::function<Tensor(const Tensor& x)> body, const Tensor& x);
/// The same of several inputs, some of which may be undefined.
Tensor checkpoint(std::function<Tensor(std::span<const Tensor> xs)> body,
                  const std::vector<Tensor>& xs);

/// Recording is on by default; these switch it for the current thread and scope.
bool grad_enabled();
class GradMode : public FlagScope {
 public:
  explicit GradMode(bool enabled);
};
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

}  // namespace inlay
