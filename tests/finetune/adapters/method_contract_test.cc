// SPDX-License-Identifier: Apache-2.0

// What every adapter method must keep to, for each row of adapter_methods() over each kind of base.
// A new row is tested here without a line.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/ops/elementwise.h"
#include "core/tensor/frozen_matrix.h"
#include "finetune/adapters/adapted_layers.h"
#include "finetune/adapters/injector.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/adapters/registry.h"
#include "finetune/bench/useful_work.h"
#include "finetune/merge.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_adapters.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

// The peft section that means the method.
OrderedJson section_of(const AdapterMethod& method,
                       const OrderedJson& more = OrderedJson::object()) {
  OrderedJson json = {{"peft_type", method.peft_type}, {"r", 3}, {"target_modules", "all-linear"}};
  if (!method.switch_key.empty()) {
    json[std::string(method.switch_key)] = true;
  }
  json.update(more);
  return json;
}

struct ContractModel {
  const char* name;
  OrderedJson config;
  bool quantize;
};

std::vector<ContractModel> contract_models() {
  return {{"Llama", tiny_llama({{"attention_bias", true}}), false},
          {"QuantisedLlama", tiny_llama(), true},
          {"Gpt2", tiny_gpt2(), false}};  // weights [in, out], with biases
}

const std::vector<std::vector<i32>>& contract_sequences() {
  static const std::vector<std::vector<i32>> ids = {random_ids(9, 29, 1), random_ids(4, 29, 2)};
  return ids;
}

// As if it had been trained: every number is moved, so that nothing is at its start.
void move_all(const Adapter& adapter) {
  for (const AdapterTensor& t : adapter.tensors) {
    Tensor noise = Tensor::empty(t.value.shape());
    on(noise).fill_uniform(noise.out(), RandomKey(11).with(t.key), -0.3F, 0.3F);
    const NoGrad guard;
    t.value.copy_from(add(noise, t.value.detach()));
  }
}

// The loss of a training pass whose masks are drawn from `key`, with its gradients.
double training_loss(const CausalLM& model, RandomKey key) {
  return loss_and_gradients(model, random_examples({9, 14}, 29), {.dropout = key});
}

class MethodContract : public ::testing::TestWithParam<std::pair<int, int>> {
 protected:
  const AdapterMethod& method() const { return adapter_methods()[GetParam().first]; }
  ContractModel model() const { return contract_models()[GetParam().second]; }
  LoadedModel make(bool trainable = false) const {
    return make_tiny(model().config,
                     {.trainable = trainable && !model().quantize, .quantize = model().quantize});
  }
  PeftConfig config(const OrderedJson& more = OrderedJson::object()) const {
    return peft_config(section_of(method(), more));
  }
  TempDirectory temp_;
};

TEST_P(MethodContract, IsWhatItsConfigMeans) {
  EXPECT_EQ(&method_of(config()), &method());
}

TEST_P(MethodContract, StartsWhereTheBaseIs) {
  LoadedModel loaded = make();
  const Tensor base = logits_of(*loaded.model, contract_sequences());
  inject(loaded, config());
  // A length that is divided by itself may be 1 but for the last bit.
  EXPECT_LE(relative_difference(logits_of(*loaded.model, contract_sequences()), base), 1e-6);
}

TEST_P(MethodContract, StartsTheSameFromTheSameKey) {
  LoadedModel one = make(), two = make();
  const Adapter first = inject(one, config()), second = inject(two, config());
  ASSERT_EQ(first.tensors.size(), second.tensors.size());
  for (std::size_t i = 0; i < first.tensors.size(); ++i) {
    EXPECT_EQ(first.tensors[i].key, second.tensors[i].key);
    EXPECT_EQ(first.tensors[i].value.to_vector(), second.tensors[i].value.to_vector());
  }
}

// A step against the gradient makes the loss smaller and moves nothing but the method's tensors.
TEST_P(MethodContract, TrainsItsOwnTensorsAndNothingElse) {
  LoadedModel loaded = make(true);
  std::vector<std::pair<NamedTensor, std::vector<float>>> before;
  for (const NamedTensor& p : parameters(*loaded.model)) {
    before.emplace_back(p, p.value.to(DType::kF32).to_vector());
  }
  const Adapter adapter = inject(loaded, config());
  move_all(adapter);
  const double loss = training_loss(*loaded.model, RandomKey(1));
  EXPECT_EQ(trainable_parameters(*loaded.model).size(), adapter.tensors.size());
  for (const AdapterTensor& t : adapter.tensors) {
    ASSERT_TRUE(t.value.grad().defined()) << t.key;
    const NoGrad guard;
    t.value.copy_from(add(scale(t.value.grad(), -0.01F), t.value.detach()));
    t.value.set_grad({});
  }
  EXPECT_LT(training_loss(*loaded.model, RandomKey(1)), loss);
  for (const auto& [p, values] : before) {
    EXPECT_FALSE(p.value.grad().defined()) << p.name;
    EXPECT_EQ(p.value.to(DType::kF32).to_vector(), values) << p.name;
  }
}

TEST_P(MethodContract, ComesBackFromItsFileBitForBit) {
  LoadedModel before = make(), after = make();
  const Adapter saved = inject(before, config());
  move_all(saved);
  const Tensor logits = logits_of(*before.model, contract_sequences());
  save_adapter(temp_.file("adapter"), saved, "base");
  const Adapter loaded = load_adapter(*after.model, temp_.file("adapter"));
  EXPECT_EQ(logits_of(*after.model, contract_sequences()).to_vector(), logits.to_vector());
  save_adapter(temp_.file("again"), loaded, "base");
  for (const char* name : {"/adapter_config.json", "/adapter_model.safetensors"}) {
    EXPECT_EQ(read_text(temp_.file("adapter") + name), read_text(temp_.file("again") + name));
  }
}

// The reference that some objectives compare with, for free.
TEST_P(MethodContract, SwitchedOffLeavesTheBitsOfTheBase) {
  LoadedModel loaded = make();
  const Tensor base = logits_of(*loaded.model, contract_sequences());
  for (const char* which : {"one adapter", "another on top"}) {
    move_all(inject(loaded, config()));
    EXPECT_GT(relative_difference(logits_of(*loaded.model, contract_sequences()), base), 1e-3);
    EXPECT_EQ(
        logits_of(*loaded.model, contract_sequences(), AttentionKind::kTiled, false).to_vector(),
        base.to_vector())
        << which;
  }
}

// Names that a row does not list would not be known where another program writes them.
TEST_P(MethodContract, ListsTheNamesOfItsTensors) {
  LoadedModel loaded = make();
  for (const AdapterTensor& t : inject(loaded, config()).tensors) {
    EXPECT_TRUE(std::ranges::any_of(method().linear_tensors, [&](std::string_view name) {
      return t.key.ends_with("." + std::string(name));
    })) << t.key;
  }
}

// Folding an update into a weight rounds once where it is computed beside it: 6e-8 a weight, of
// which two layers make up to 1.3e-6.
TEST_P(MethodContract, MergesIntoWhatItComputes) {
  if (model().quantize) {
    return;  // what is written is the decoded base, which other tests look at
  }
  write_tiny(temp_.file("base"), model().config);
  LoadedModel adapted = make();
  const Adapter adapter = inject(adapted, config());
  move_all(adapter);
  save_adapter(temp_.file("adapter"), adapter, "base");
  MergeOptions options;
  options.model = temp_.file("base");
  options.adapter = temp_.file("adapter");
  options.out = temp_.file("merged");
  EXPECT_LE(merge_adapter(options).relative_difference, 5e-6);
  EXPECT_LE(relative_difference(logits_of(*load_model_at(options.out).model, contract_sequences()),
                                logits_of(*adapted.model, contract_sequences())),
            5e-6);
}

TEST_P(MethodContract, DropsInTrainingAloneAndByItsKey) {
  LoadedModel with = make(), without = make();
  PeftConfig dropped = config();
  dropped.lora_dropout = 0.5;
  const Adapter dropping = inject(with, dropped);
  move_all(dropping);
  move_all(inject(without, config()));
  EXPECT_EQ(logits_of(*with.model, contract_sequences()).to_vector(),
            logits_of(*without.model, contract_sequences()).to_vector());
  const auto results = [&](u64 key) {
    std::vector<std::vector<float>> out = {
        {static_cast<float>(training_loss(*with.model, RandomKey(key)))}};
    for (const AdapterTensor& t : dropping.tensors) {
      out.push_back(t.value.grad().to_vector());
      t.value.set_grad({});
    }
    return out;
  };
  const auto once = results(5);
  EXPECT_EQ(results(5), once);
  // Where dropout means something to the method, another key has other masks.
  const double plain = training_loss(*without.model, RandomKey(5));
  EXPECT_EQ(results(6) == once, static_cast<float>(plain) == once[0][0]);
}

TEST_P(MethodContract, CountsItsParametersAndItsWork) {
  LoadedModel loaded = make();
  const Adapter adapter = inject(loaded, config());
  i64 parameters = 0;
  for (const AdapterTensor& t : adapter.tensors) {
    parameters += t.value.numel();
  }
  EXPECT_EQ(adapter.parameters(), parameters);

  // The factors that a token is multiplied with, seen from what is handed to the products.
  struct FactorCounter final : Visitor {
    void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
      if (dynamic_cast<const AdaptedLinear*>(slot.get()) != nullptr) {
        const std::optional<Projection> layer = slot->projection(Pass());
        ASSERT_TRUE(layer.has_value()) << name;
        for (const LowRankUpdate& update : layer->updates) {
          numbers += update.a.numel() + update.b.numel();
        }
      }
    }
    i64 numbers = 0;
  } counter;
  loaded.model->visit(counter, "");
  const UsefulWork work = useful_work(*loaded.model, 8);
  EXPECT_EQ(work.lora_parameters, counter.numbers);
  EXPECT_EQ(work.trained_parameters, 0);
}

std::vector<std::pair<int, int>> contract_cases() {
  std::vector<std::pair<int, int>> cases;
  for (std::size_t m = 0; m < adapter_methods().size(); ++m) {
    for (std::size_t b = 0; b < contract_models().size(); ++b) {
      cases.emplace_back(static_cast<int>(m), static_cast<int>(b));
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(, MethodContract, ::testing::ValuesIn(contract_cases()),
                         [](const auto& instance) {
                           return std::string(adapter_methods()[instance.param.first].name) + "Of" +
                                  contract_models()[instance.param.second].name;
                         });

// ---- Gradients of one layer, by central differences.

Tensor random_leaf(const Shape& shape, const std::string& name, bool trained) {
  Tensor t = Tensor::empty(shape);
  on(t).fill_uniform(t.out(), RandomKey(21).with(name), -1.0F, 1.0F);
  t.set_requires_grad(trained);
  return t;
}

constexpr i64 kIn = 13, kOut = 11, kRows = 7;

// The layers that an update may come to lie on.
std::vector<std::pair<std::string, std::unique_ptr<LinearLike>>> bases() {
  const Tensor bias = random_leaf({kOut}, "bias", false);
  std::vector<std::pair<std::string, std::unique_ptr<LinearLike>>> out;
  out.emplace_back("dense", std::make_unique<Linear>(random_leaf({kOut, kIn}, "w", false), bias));
  out.emplace_back("transposed", std::make_unique<Linear>(random_leaf({kIn, kOut}, "w", false),
                                                          bias, WeightLayout::kInOut));
  out.emplace_back(
      "frozen", std::make_unique<FrozenLinear>(
                    FrozenMatrix(random_leaf({kOut, kIn}, "w", false).to(DType::kBf16)), Tensor()));
  out.emplace_back("trained", std::make_unique<Linear>(random_leaf({kOut, kIn}, "w", true), bias));
  return out;
}

std::unique_ptr<AdaptedLinear> adapted(const AdapterMethod& method,
                                       std::unique_ptr<LinearLike> base, double dropout,
                                       const std::string& name) {
  PeftConfig config = peft_config(section_of(method));
  config.lora_dropout = dropout;
  const UpdateSite site = {name, config, 3, 5.0, 1.0, RandomKey(4)};
  std::unique_ptr<LayerUpdate> update = method.linear(site, *base);
  for (const NamedTensor& t : update->tensors()) {
    const NoGrad guard;
    t.value.copy_from(
        add(scale(random_leaf(t.value.shape(), name + t.name, false), 0.5F), t.value.detach()));
  }
  return std::make_unique<AdaptedLinear>(std::move(base), std::move(update));
}

// sum_i w_i y_i in double, with random weights.
double weighed(const Tensor& y) {
  const std::vector<float> values = y.to_vector();
  const std::vector<float> weights = random_leaf(y.shape(), "weights", false).to_vector();
  double sum = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(weights[i]);
  }
  return sum;
}

// The gradient of `leaf` against (f(leaf + h) - f(leaf - h)) / 2h of each of its values. The layer
// is linear in every single tensor, so that h may be large.
void expect_differences(const Tensor& leaf, const std::function<double()>& f,
                        const std::string& what) {
  constexpr float kStep = 0.25F;
  const std::vector<float> gradient = leaf.grad().to_vector();
  const std::vector<float> start = leaf.to_vector();
  double largest = 1.0;
  for (const float g : gradient) {
    largest = std::max(largest, std::abs(static_cast<double>(g)));
  }
  for (std::size_t i = 0; i < start.size(); ++i) {
    const auto at = [&](float step) {
      std::vector<float> moved = start;
      moved[i] += step;
      leaf.copy_from(Tensor::from(moved, leaf.shape()));
      return f();
    };
    const double difference = (at(kStep) - at(-kStep)) / (2.0 * static_cast<double>(kStep));
    // Sums of some hundred products in f32, over steps of a quarter.
    EXPECT_NEAR(gradient[i], difference, 3e-5 * largest) << what << ", value " << i;
  }
  leaf.copy_from(Tensor::from(start, leaf.shape()));
}

Pass dropping_pass() {
  Pass pass;
  pass.training = true;
  pass.dropout = RandomKey(9);
  return pass;
}

// Every gradient of the outermost update, and that of the input, with the masks held. Where a
// tensor is itself a factor of a product, the scales around are held, too: no gradient goes through
// the lengths that DoRA divides by.
void check_gradients(const AdaptedLinear& layer, const std::string& what) {
  const Pass pass = dropping_pass();
  const Tensor x = random_leaf({kRows, kIn}, "x", true);
  backward(layer.forward(x, pass), random_leaf({kRows, kOut}, "weights", false));
  const NoGrad guard;
  const auto whole = [&] { return weighed(layer.forward(x, pass)); };
  expect_differences(x, whole, what + ": x");
  const std::optional<Projection> held = layer.projection(pass);
  for (const NamedTensor& t : layer.update().tensors()) {
    const bool is_factor =
        held && std::ranges::any_of(held->updates, [&](const LowRankUpdate& update) {
          return update.a.same_storage(t.value) || update.b.same_storage(t.value);
        });
    if (is_factor) {
      expect_differences(
          t.value,
          [&] {
            return weighed(project(x, {&*held, 1}, GemmCompute::kF32)[0]);
          },
          what + ": " + t.name);
    } else {
      expect_differences(t.value, whole, what + ": " + t.name);
    }
  }
}

TEST(MethodGradients, MatchCentralDifferencesWithTheMasksHeld) {
  for (const AdapterMethod& method : adapter_methods()) {
    for (const double dropout : {0.0, 0.3}) {
      for (auto& [name, base] : bases()) {
        if (name == "trained") {
          continue;  // below, where it has no projection
        }
        check_gradients(*adapted(method, std::move(base), dropout, "layer"),
                        str(method.name, " over ", name, ", dropout ", dropout));
      }
    }
  }
}

// Over a layer that is no plain projection, an update is an operation of its own: over a trained
// weight, or over another adapter's scales.
TEST(MethodGradients, MatchCentralDifferencesOverWhatIsNoProjection) {
  for (const AdapterMethod& method : adapter_methods()) {
    for (const double dropout : {0.0, 0.3}) {
      std::vector<std::pair<std::string, std::unique_ptr<LinearLike>>> below;
      below.emplace_back("a trained weight", std::move(bases().back().second));
      for (const AdapterMethod& other : adapter_methods()) {
        below.emplace_back(other.name, adapted(other, std::move(bases()[0].second), 0.2, "below"));
      }
      for (auto& [name, base] : below) {
        const auto layer = adapted(method, std::move(base), dropout, "layer");
        if (!layer->update().scales()) {  // its own lengths could not be held
          check_gradients(*layer, str(method.name, " over ", name, ", dropout ", dropout));
        }
      }
    }
  }
}

// Beside the layer below or in one product with it: the same values but for roundings.
TEST(MethodGradients, AndValuesAreTheSameBesideTheBase) {
  for (const AdapterMethod& method : adapter_methods()) {
    auto fused = bases();
    const auto one = adapted(method, std::move(fused[0].second), 0.3, "layer");
    const auto two = adapted(method, std::move(fused[3].second), 0.3, "layer");
    EXPECT_NE(one->form(Pass()), ProjectionForm::kNone);
    EXPECT_EQ(two->form(Pass()), ProjectionForm::kNone);
    const Tensor x = random_leaf({kRows, kIn}, "x", false);
    for (const Pass& pass : {Pass(), dropping_pass()}) {
      const NoGrad guard;
      EXPECT_LE(relative_difference(two->forward(x, pass), one->forward(x, pass)), 1e-6);
      EXPECT_LE(relative_difference(two->product(x, pass), one->product(x, pass)), 1e-6);
    }
  }
}

}  // namespace
}  // namespace inlay
