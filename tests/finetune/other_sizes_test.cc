// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/io/atomic.h"
#include "core/ops/loss.h"
#include "core/parallel.h"
#include "finetune/adapters/adapter.h"
#include "finetune/hf_export.h"
#include "nn/generate.h"
#include "tests/support/isas.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

// The golden models have two layers, heads of 8 or 16, and sizes that are multiples of 16. These
// have not: what holds for any size is checked on them, against the model itself.
namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

struct OtherModel {
  const char* name;
  Json config;
};

std::vector<OtherModel> other_models() {
  return {
      {"LlamaOneLayerThreeQueriesAKey", tiny_llama({{"vocab_size", 77},
                                                    {"hidden_size", 25},
                                                    {"intermediate_size", 37},
                                                    {"num_hidden_layers", 1},
                                                    {"num_attention_heads", 6},
                                                    {"num_key_value_heads", 2},
                                                    {"head_dim", 10}})},
      {"LlamaFiveLayersSevenHeadsOfTwoWithBiases", tiny_llama({{"vocab_size", 50},
                                                               {"hidden_size", 14},
                                                               {"intermediate_size", 9},
                                                               {"num_hidden_layers", 5},
                                                               {"num_attention_heads", 7},
                                                               {"num_key_value_heads", 1},
                                                               {"head_dim", 2},
                                                               {"attention_bias", true},
                                                               {"mlp_bias", true},
                                                               {"tie_word_embeddings", false}})},
      {"LlamaWideHeads",
       tiny_llama({{"vocab_size", 77},
                   {"hidden_size", 31},
                   {"intermediate_size", 70},
                   {"num_hidden_layers", 3},
                   {"num_attention_heads", 3},
                   {"num_key_value_heads", 3},
                   {"head_dim", 36},
                   {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 500.0}}}})},
      {"Gpt2HeadsOfSeven", tiny_gpt2({{"vocab_size", 77},
                                      {"n_embd", 21},
                                      {"n_head", 3},
                                      {"n_layer", 3},
                                      {"n_inner", 50},
                                      {"activation_function", "gelu"},
                                      {"scale_attn_by_inverse_layer_idx", true}})},
      {"Gpt2OneHeadOneLayerUntied",
       tiny_gpt2({{"vocab_size", 40},
                  {"n_embd", 33},
                  {"n_head", 1},
                  {"n_layer", 1},
                  {"activation_function", "silu"},
                  {"scale_attn_weights", false},
                  {"initializer_range", 0.1},  // scores are products of 33 pairs, not scaled down
                  {"tie_word_embeddings", false}})},
  };
}

class OtherSizes : public ::testing::TestWithParam<int> {
 protected:
  // Models so small are not worth a second thread.
  OtherSizes() { set_num_threads(1); }

  Json config() const { return other_models()[GetParam()].config; }
  i64 vocab() const { return config()["vocab_size"].get<i64>(); }
  std::vector<std::vector<i32>> sequences() const {
    return {random_ids(17, vocab(), 1), random_ids(1, vocab(), 2), random_ids(6, vocab(), 3)};
  }
  std::vector<Example> examples() const { return random_examples({19, 4, 7}, vocab()); }
};

// The loss in double from f32 logits: the differences below then see the noise of the logits alone.
double exact_loss(const CausalLM& model, const std::vector<Example>& examples) {
  const NoGrad guard;
  std::vector<const Example*> rows;
  rows.reserve(examples.size());
  for (const Example& example : examples) {
    rows.push_back(&example);
  }
  const NextTokenBatch batch(rows);
  Pass pass;
  pass.tokens = &batch.tokens;
  double sum = 0.0;
  const Tensor losses =
      cross_entropy_rows(model.logits(model.hidden(pass, batch.rows), pass), batch.targets);
  for (const double loss : losses.copy_out<double>()) {
    sum += loss;
  }
  return sum / static_cast<double>(batch.targets.size());
}

void move(const Tensor& value, const std::vector<float>& start, const std::vector<double>& way,
          double step) {
  std::vector<float> moved(start.size());
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i] = static_cast<float>(static_cast<double>(start[i]) + step * way[i]);
  }
  value.copy_bytes_in(std::as_bytes(std::span(moved)));
}

// d(loss) / d(step) at 0 along `way`, from four losses: the error is of order step^4.
double slope(const CausalLM& model, const std::vector<Example>& examples, const Tensor& value,
             const std::vector<double>& way) {
  constexpr double kStep = 4e-3;
  const std::vector<float> start = value.to_vector();
  const auto loss_at = [&](double step) {
    move(value, start, way, step);
    return exact_loss(model, examples);
  };
  const double near = loss_at(kStep) - loss_at(-kStep);
  const double far = loss_at(2.0 * kStep) - loss_at(-2.0 * kStep);
  move(value, start, way, 0.0);
  return (8.0 * near - far) / (12.0 * kStep);
}

// A way of length about 1 that goes with the gradient, each entry by a weight of its own, and a bit
// sideways: a wrong, missing or misplaced entry of the gradient changes the slope along it.
std::vector<double> way_along(const std::vector<float>& gradient, RandomKey key) {
  std::vector<float> noise(gradient.size());
  fill_normal(noise, key, 0.0F, 1.0F);
  double length = 0.0;
  for (const float g : gradient) {
    length += static_cast<double>(g) * static_cast<double>(g);
  }
  length = std::max(std::sqrt(length), 1e-12);
  const double side = 0.5 / std::sqrt(static_cast<double>(gradient.size()));
  std::vector<double> way;
  way.reserve(gradient.size());
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double weight = 0.5 + static_cast<double>(random_uniform(key.with("weight"), i));
    way.push_back(weight * static_cast<double>(gradient[i]) / length +
                  side * static_cast<double>(noise[i]));
  }
  return way;
}

TEST_P(OtherSizes, GradientsAreTheSlopesOfTheLoss) {
  const LoadedModel loaded = make_tiny(config(), {.trainable = true});
  loss_and_gradients(*loaded.model, examples());
  for (const NamedTensor& p : parameters(*loaded.model)) {
    if (!p.value.defined()) {
      continue;
    }
    ASSERT_TRUE(p.value.grad().defined()) << p.name;
    const std::vector<float> gradient = p.value.grad().to_vector();
    const std::vector<double> way = way_along(gradient, RandomKey(9).with(p.name));
    double expected = 0.0;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      expected += static_cast<double>(gradient[i]) * way[i];
    }
    // Losses with errors of 3e-7 make slopes with errors of 1e-4; at most 5e-5 was measured.
    EXPECT_NEAR(slope(*loaded.model, examples(), p.value, way), expected,
                2e-4 + 2e-4 * std::abs(expected))
        << p.name;
  }
}

TEST_P(OtherSizes, TiledAttentionIsTheReferenceOne) {
  testing::for_each_isa([&] {
    const LoadedModel tiled = make_tiny(config(), {.trainable = true});
    const LoadedModel reference = make_tiny(config(), {.trainable = true});
    // Sums of some hundred products in two orders, one of them in double, through up to five
    // layers: 3.5e-6 at most was measured.
    EXPECT_LE(
        relative_difference(logits_of(*tiled.model, sequences()),
                            logits_of(*reference.model, sequences(), AttentionKind::kReference)),
        1e-5);
    loss_and_gradients(*tiled.model, examples());
    loss_and_gradients(*reference.model, examples(), {.attention = AttentionKind::kReference});
    const std::vector<NamedTensor> expected = parameters(*reference.model);
    const std::vector<NamedTensor> found = parameters(*tiled.model);
    for (std::size_t i = 0; i < found.size(); ++i) {
      // Keys of zero gradient are noise in both.
      if (expected[i].value.defined() &&
          largest_difference(expected[i].value.grad(), found[i].value.grad()) > 1e-7) {
        EXPECT_LE(relative_difference(found[i].value.grad(), expected[i].value.grad()), 2e-5)
            << found[i].name;
      }
    }
  });
}

// To the bit: no sum runs over the rows of a batch, and none is split by how many there are.
TEST_P(OtherSizes, ASequenceIsTheSameAloneAndPackedWithOthers) {
  testing::for_each_isa([&] {
    const LoadedModel loaded = make_tiny(config());
    const Tensor packed = logits_of(*loaded.model, sequences());
    i64 row = 0;
    for (const std::vector<i32>& ids : sequences()) {
      const i64 length = static_cast<i64>(ids.size());
      EXPECT_EQ(packed.slice(0, row, row + length).contiguous().to_vector(),
                logits_of(*loaded.model, {ids}).to_vector());
      row += length;
    }
  });
}

TEST_P(OtherSizes, NoTokenSeesALaterOne) {
  const LoadedModel loaded = make_tiny(config());
  std::vector<i32> ids = random_ids(17, vocab(), 1);
  const Tensor before = logits_of(*loaded.model, {ids});
  ids[11] = (ids[11] + 1) % static_cast<i32>(vocab());
  const Tensor after = logits_of(*loaded.model, {ids});
  EXPECT_EQ(after.slice(0, 0, 11).contiguous().to_vector(),
            before.slice(0, 0, 11).contiguous().to_vector());
  for (i64 t = 11; t < 17; ++t) {  // and every later one sees this
    EXPECT_GT(largest_difference(after.slice(0, t, t + 1).contiguous(),
                                 before.slice(0, t, t + 1).contiguous()),
              1e-5)
        << t;
  }
}

std::vector<i32> greedy_by_recomputing(const CausalLM& model, std::vector<i32> ids, i64 count) {
  std::vector<i32> made;
  for (i64 n = 0; n < count; ++n) {
    const Tensor logits = logits_of(model, {ids});
    made.push_back(argmax(logits.slice(0, logits.dim(0) - 1, logits.dim(0)).to_vector()));
    ids.push_back(made.back());
  }
  return made;
}

TEST_P(OtherSizes, GenerationWithTheCacheIsThatWithoutIt) {
  const LoadedModel loaded = make_tiny(config());
  GenerateOptions options;
  options.max_new_tokens = 12;
  const std::vector<Generated> made = generate(*loaded.model, sequences(), options);
  GenerationSession session(*loaded.model, 40);
  for (std::size_t s = 0; s < made.size(); ++s) {
    const std::vector<i32> expected = greedy_by_recomputing(*loaded.model, sequences()[s], 12);
    EXPECT_EQ(made[s].ids, expected);
    EXPECT_EQ(session.reply(sequences()[s], options).ids, expected);
    // The next turn begins with all of this one, which the session has seen.
    std::vector<i32> next = sequences()[s];
    next.insert(next.end(), expected.begin(), expected.begin() + 5);
    next.push_back(3);
    options.max_new_tokens = 4;
    EXPECT_EQ(session.reply(next, options).ids, greedy_by_recomputing(*loaded.model, next, 4));
    options.max_new_tokens = 12;
  }
}

TEST_P(OtherSizes, AnAdapterIsTheModelItMergesTo) {
  const Json adapters[] = {
      {{"r", 3}, {"init_lora_weights", false}, {"use_rslora", true}},
      {{"r", 5}, {"init_lora_weights", false}, {"use_dora", true}},
      {{"r", 2},
       {"init_lora_weights", false},
       {"target_modules", {config().contains("n_embd") ? "wte" : "embed_tokens", "lm_head"}}},
  };
  for (const Json& peft : adapters) {
    LoadedModel loaded = make_tiny(config());
    // A tied head has no weight of its own to adapt by name; then the embedding alone is.
    Json used = peft;
    if (used.contains("target_modules") && config().value("tie_word_embeddings", true)) {
      used["target_modules"].erase(1);
    }
    inject_adapter(*loaded.model, peft_config(used), {.key = RandomKey(5)});
    const TempDirectory temp;
    write_hf_files(temp.path(), loaded, DType::kF32);
    const LoadedModel merged = load_model_at(temp.path());
    // One rounding of each weight, 6e-8, which up to five layers pass on: 6.3e-6 was measured.
    EXPECT_LE(relative_difference(logits_of(*merged.model, sequences()),
                                  logits_of(*loaded.model, sequences())),
              3e-5)
        << used;
  }
}

TEST_P(OtherSizes, TheModelLearnsOneBatchByHeart) {
  const TempDirectory temp;
  std::vector<OrderedJson> rows;
  for (const Example& example : random_examples({10, 7}, vocab())) {
    rows.push_back({{"input_ids", example.ids}});
  }
  write_lines(temp.file("rows.jsonl"), rows);
  const OrderedJson json = {{"model", {{"config", config()}}},
                            {"data", {{"train", temp.file("rows.jsonl")}}},
                            {"training",
                             {{"max_steps", 80},
                              {"per_device_train_batch_size", 2},
                              {"learning_rate", 0.02},
                              {"lr_scheduler_type", "linear"}}},
                            {"save", {{"output_dir", temp.file("run")}}},
                            {"logging", {{"logging_steps", 40}}},
                            {"runtime", {{"threads", 1}}}};
  RecordingListener listener;
  const RunResult result = run_training(read_run_config(temp, json), {}, listener);
  // Random tokens: nothing but memory brings the loss from ln(vocabulary), above 3.6, to this.
  EXPECT_LT(result.last_loss, 0.1);
  const LoadedModel trained = load_model_at(temp.file("run/model"));
  EXPECT_LT(exact_loss(*trained.model, {{rows[0]["input_ids"], rows[0]["input_ids"]}}), 0.1);
}

INSTANTIATE_TEST_SUITE_P(, OtherSizes, ::testing::Range(0, 5), [](const auto& instance) {
  return std::string(other_models()[instance.param].name);
});

}  // namespace
}  // namespace inlay
