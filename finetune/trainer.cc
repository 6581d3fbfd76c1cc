// SPDX-License-Identifier: Apache-2.0
#include "finetune/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/memory/memory.h"
#include "core/profile.h"
#include "nn/embedding.h"
#include "nn/expert_stack.h"
#include "optim/clip.h"

namespace inlay {
namespace {

// The parameters that want a gradient; those below an embedding get none for tokens that do not
// occur. Weight decay is for the weights of linear layers and embeddings and for what adapters add
// to them, DoRA's magnitudes included: what is left by the names and types that
// Trainer.get_decay_parameter_names of Transformers passes over.
class TrainableParameters final : public Visitor {
 public:
  explicit TrainableParameters(bool decay_norms_and_biases) : decay_all_(decay_norms_and_biases) {}

  void parameter(const std::string& name, Tensor& value) override {
    if (value.defined() && value.requires_grad()) {
      const bool is_norm = !in_linear_ && !in_embedding_;
      const bool is_bias = name.ends_with("bias");
      found.push_back({name, value, in_embedding_, decay_all_ || !(is_norm || is_bias)});
    }
  }
  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    in_linear_ = true;
    slot->visit(*this, name);
    in_linear_ = false;
  }
  void router(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    linear(name, slot);
  }
  void experts(const std::string& name, ExpertStack& stack) override {
    in_linear_ = true;
    stack.visit(*this, name);
    in_linear_ = false;
  }
  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) override {
    in_embedding_ = true;
    slot->visit(*this, name);
    in_embedding_ = false;
  }
  std::vector<Parameter> found;

 private:
  bool decay_all_;
  bool in_linear_ = false;
  bool in_embedding_ = false;
};

std::vector<Parameter> trainable(CausalLM& model, const TrainerOptions& options) {
  TrainableParameters visitor(options.decay_norms_and_biases);
  model.visit(visitor, "");
  return std::move(visitor.found);
}

// The sign of a NaN says nothing, and which one comes depends on the processor.
std::string not_finite(double value) {
  return std::isnan(value) ? "nan" : value < 0.0 ? "-inf" : "inf";
}

// The first value of t that is not finite, if there is one.
std::optional<float> first_not_finite(const Tensor& t) {
  if (count_not_finite(t) == 0) {
    return std::nullopt;
  }
  const std::vector<float> values = t.to_vector();
  return *std::ranges::find_if(values, [](float x) { return !std::isfinite(x); });
}

// Where a loss that is not finite may come from: a weight that an earlier step threw too far.
std::string first_bad_parameter(const std::vector<Parameter>& parameters) {
  for (const Parameter& p : parameters) {
    if (const std::optional<float> bad = first_not_finite(p.value)) {
      return str(", and ", p.name, " holds ", not_finite(*bad));
    }
  }
  return ", though every trained parameter is finite";
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void TrainerObserver::on_step(const StepMetrics& /*metrics*/) {}
void TrainerObserver::on_eval(const EvalMetrics& /*metrics*/) {}
void TrainerObserver::on_save(Trainer& /*trainer*/) {}
bool TrainerObserver::stop_requested() {
  return false;
}

Trainer::Trainer(CausalLM& model, const BatchSchedule& schedule, std::span<const Example> train,
                 std::span<const Example> validation, const TrainerOptions& options)
    : model_(model),
      schedule_(schedule),
      train_(train),
      validation_(validation),
      options_(options),
      parameters_(trainable(model, options)),
      optimizer_(*options.optimizer_kind, options.optimizer, parameters_) {
  if (parameters_.empty()) {
    throw ConfigError("nothing to train: no parameter wants a gradient");
  }
  if (options_.prepack) {
    prepack_frozen(model_, options_.compute);
  }
}

void Trainer::set_state(const TrainerState& state) {
  state_ = state;
  optimizer_.set_steps(state.step);
}

bool Trainer::run(TrainerObserver& observer) {
  started_ = window_started_ = Clock::now();
  const i64 total = options_.schedule.total_steps;
  while (state_.step < total) {
    const StepResult result = take_step(state_.step, schedule_.step(state_.step));
    state_.step += 1;
    state_.tokens += result.tokens;
    log(observer, result);
    const bool last = state_.step == total;
    const bool due = options_.eval_steps > 0 && state_.step % options_.eval_steps == 0;
    if (!validation_.empty() && (last || due)) {
      evaluate(observer);
    }
    const bool stop = !last && observer.stop_requested();
    if (stop || (options_.save_steps > 0 && state_.step % options_.save_steps == 0)) {
      observer.on_save(*this);
    }
    if (stop) {
      return false;
    }
  }
  return true;
}

void Trainer::step_on(const std::vector<std::vector<i64>>& batches) {
  take_step(state_.step, batches);
}

Trainer::StepResult Trainer::take_step(i64 step, const std::vector<std::vector<i64>>& batches) {
  StepResult result = accumulate_gradients(step, batches);
  result.grad_norm = checked_grad_norm(step);
  profile::mark("grad_norm", profile::Phase::kOther);
  result.learning_rate = learning_rate_at(options_.schedule, step);
  optimizer_.step(result.learning_rate, clip_scale(result.grad_norm, options_.max_grad_norm));
  drop_gradients();
  profile::mark("optimizer", profile::Phase::kOther);
  return result;
}

Trainer::StepResult Trainer::accumulate_gradients(i64 step,
                                                  const std::vector<std::vector<i64>>& batches) {
  StepResult result;
  for (const std::vector<i64>& rows : batches) {
    for (const i64 row : rows) {
      result.weight += options_.objective->weight(train_[row]);
      result.tokens += static_cast<i64>(train_[row].ids.size());
    }
  }
  INLAY_ASSERT(result.weight > 0);
  const Tensor losses = Tensor::empty({std::ssize(batches)});
  for (i64 b = 0; b < std::ssize(batches); ++b) {
    std::vector<const Example*> examples;
    for (const i64 row : batches[b]) {
      examples.push_back(&train_[row]);
    }
    const std::unique_ptr<ObjectiveBatch> batch = options_.objective->collate(examples);
    Pass pass = training_pass(step, b);
    pass.tokens = &batch->tokens;
    const Tensor loss = batch->loss(model_, pass, static_cast<double>(result.weight)).loss;
    losses.slice(0, b, b + 1).copy_from(loss);
    backward(loss);
  }
  result.loss = checked_loss(step, losses);
  return result;
}

Pass Trainer::training_pass(i64 step, i64 batch) const {
  Pass pass;
  pass.training = true;
  pass.dropout = RandomKey(options_.seed)
                     .with("dropout")
                     .with(static_cast<u64>(step))
                     .with(static_cast<u64>(batch));
  pass.attention = options_.attention;
  pass.compute = options_.compute;
  pass.keep = options_.keep;
  pass.recompute = options_.recompute;
  pass.recompute_layers = options_.recompute_layers;
  return pass;
}

// The losses of a step's batches, added up. They are read only here, once a step: a device would
// have to finish all of a batch's work before it could tell.
double Trainer::checked_loss(i64 step, const Tensor& losses) {
  double sum = 0.0;
  for (const float loss : losses.to_vector()) {
    if (!std::isfinite(loss)) {
      drop_gradients();
      throw DivergedError(str("step ", step + 1, ": the loss is ", not_finite(loss),
                              first_bad_parameter(parameters_)));
    }
    sum += static_cast<double>(loss);
  }
  return sum;
}

double Trainer::checked_grad_norm(i64 step) const {
  const double norm = global_grad_norm(parameters_);
  if (std::isfinite(norm)) {
    return norm;
  }
  for (const Parameter& p : parameters_) {
    const Tensor grad = p.value.grad();
    if (const auto bad = grad.defined() ? first_not_finite(grad) : std::nullopt) {
      throw DivergedError(
          str("step ", step + 1, ": the gradient of ", p.name, " is ", not_finite(*bad)));
    }
  }
  throw DivergedError(str("step ", step + 1, ": the norm of the gradient is ", not_finite(norm)));
}

void Trainer::drop_gradients() {
  for (const Parameter& p : parameters_) {
    p.value.set_grad({});
  }
}

void Trainer::log(TrainerObserver& observer, const StepResult& result) {
  state_.window_loss += result.loss * static_cast<double>(result.weight);
  state_.window_trained += result.weight;
  window_tokens_ += result.tokens;
  if (state_.step % options_.logging_steps != 0 && state_.step != options_.schedule.total_steps) {
    return;
  }
  StepMetrics m;
  m.step = state_.step;
  m.epoch = schedule_.epoch_after(state_.step - 1);
  // One step's mean is kept to its last bit, not multiplied and divided again.
  m.loss = state_.window_trained == result.weight
               ? result.loss
               : state_.window_loss / static_cast<double>(state_.window_trained);
  m.grad_norm = result.grad_norm;
  m.learning_rate = result.learning_rate;
  m.tokens = state_.tokens;
  m.tokens_per_second =
      static_cast<double>(window_tokens_) / std::max(1e-9, seconds_since(window_started_));
  m.rss_bytes = current_rss();
  m.elapsed_s = seconds_since(started_);
  observer.on_step(m);
  state_.window_loss = 0.0;
  state_.window_trained = window_tokens_ = 0;
  window_started_ = Clock::now();
}

void Trainer::evaluate(TrainerObserver& observer) {
  EvalMetrics m;
  m.step = state_.step;
  m.epoch = schedule_.epoch_after(state_.step - 1);
  m.report = evaluate_loss(model_, *options_.objective, validation_,
                           {.batch_size = options_.eval_batch_size,
                            .attention = options_.attention,
                            .compute = options_.compute});
  observer.on_eval(m);
  window_started_ = Clock::now();  // evaluation is no training time
}

}  // namespace inlay
