// SPDX-License-Identifier: Apache-2.0
#include "core/memory/memory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "finetune/adapters/adapter.h"
#include "finetune/train_run.h"
#include "tests/support/model_passes.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// Large enough that what is counted is not lost among small things.
constexpr i64 kVocab = 64;
constexpr i64 kHidden = 256;
constexpr i64 kMlp = 512;
constexpr i64 kHeads = 4;  // of 64
constexpr i64 kKv = 128;   // two of them

Json medium_llama(const Json& changes = {}) {
  Json json = tiny_llama({{"vocab_size", kVocab},
                          {"hidden_size", kHidden},
                          {"intermediate_size", kMlp},
                          {"num_attention_heads", kHeads},
                          {"num_key_value_heads", 2},
                          {"head_dim", 64},
                          {"initializer_range", 0.05}});
  if (!changes.is_null()) {
    json.update(changes);
  }
  return json;
}

// Weights of the linear layers of one layer of it: q, k, v, o, and the MLP's three.
constexpr i64 kLayerWeights = 2 * kHidden * kHidden + 2 * kKv * kHidden + 3 * kHidden * kMlp;
constexpr i64 kLayerMatrices = 7;
// The table of tokens, and norms: two a layer and the last.
constexpr i64 kTableWeights = kVocab * kHidden;
constexpr i64 kNormWeights = 5 * kHidden;
constexpr i64 kOtherBytes = 4 * (kTableWeights + kNormWeights);

// QLoRA's arithmetic for blocks of 64 with double quantisation: 4 bits a weight, 8 bits a block and
// 32 bits for 256 blocks.
constexpr double kBitsPerWeight = 4.0 + 8.0 / 64 + 32.0 / (64 * 256);
// Beside those every matrix has its levels: 16 and 256 floats.
constexpr i64 kLevelBytes = i64{4} * (16 + 256);

double bytes_of_quantized(i64 layers) {
  return kBitsPerWeight / 8.0 * static_cast<double>(layers * kLayerWeights);
}

void expect_quantized_bytes(i64 found) {
  const double codes = bytes_of_quantized(2);
  EXPECT_GE(found, codes + kOtherBytes);
  // Levels may be shared between matrices or not.
  EXPECT_LE(found, codes + kOtherBytes + 2 * kLayerMatrices * kLevelBytes);
}

TEST(Memory4Bit, OfTheWeightsIsTheArithmetic) {
  EXPECT_NEAR(kBitsPerWeight, 4.127, 5e-4);
  const i64 before = current_memory()[MemoryClass::kWeights];
  const LoadedModel loaded = make_tiny(medium_llama(), {.quantize = true});
  expect_quantized_bytes(current_memory()[MemoryClass::kWeights] - before);
}

TEST(Memory4Bit, QuantizingOnLoadHoldsNoSecondCopyOfTheModel) {
  const TempDirectory temp;
  write_tiny(temp.path(), medium_llama());
  const i64 before = current_memory().total();
  reset_peak_memory();
  LoadOptions options;
  options.model.model_name_or_path = temp.path();
  options.quantization = QuantizationConfig();
  const LoadedModel loaded = load_model(options);
  const i64 after = current_memory().total() - before;
  expect_quantized_bytes(after);
  // On the way there is one source matrix, mapped, at a time, the largest being the MLP's; and the
  // scales of one before they are quantised, a float for 64 weights.
  constexpr i64 kLargest = kHidden * kMlp;
  EXPECT_LE(peak_memory().total() - before, after + 4 * kLargest + 4 * kLargest / 64 + (64 << 10));
}

TEST(MemoryOfFrozenWeights, IsThatOfTheFileAndNoMore) {
  const TempDirectory temp;
  write_tiny(temp.path(), medium_llama(), DType::kBf16);
  const i64 before = current_memory().total();
  const LoadedModel loaded = load_model_at(temp.path());
  // Two bytes a weight, norms in f32.
  EXPECT_EQ(current_memory().total() - before,
            2 * (2 * kLayerWeights + kTableWeights) + 4 * kNormWeights);
}

PeftConfig lora_config(const Json& more = {}) {
  Json json = {{"r", 4}};
  if (!more.is_null()) {
    json.update(more);
  }
  return peft_config(json);
}

// Bytes that a forward and a backward pass take, beyond what is there before.
struct PassMemory {
  i64 kept = 0;       // activations held for backward when forward is done
  i64 peak = 0;       // of activations and scratch
  i64 gradients = 0;  // behind the pass
};

struct PassOptions {
  Recompute recompute = Recompute::kNone;
  std::optional<i64> layers = {};  // that recompute
  Keep keep = Keep::kExact;
};

PassMemory memory_of_pass(const CausalLM& model, const Example& example,
                          const PassOptions& options = {}) {
  set_num_threads(1);               // scratch is a thread's own
  logits_of(model, {example.ids});  // tables of positions grow once
  const auto used = [](const MemoryReport& report) {
    return report[MemoryClass::kActivations] + report[MemoryClass::kScratch];
  };
  const MemoryReport before = current_memory();
  reset_peak_memory();
  PassMemory memory;
  {
    const Example* rows[] = {&example};
    const NextTokenBatch batch(rows);
    Pass pass;
    pass.tokens = &batch.tokens;
    pass.training = true;
    pass.keep = options.keep;
    pass.recompute = options.recompute;
    pass.recompute_layers = options.layers;
    const Tensor loss = batch.loss(model, pass, 1.0).loss;
    memory.kept = used(current_memory()) - used(before);
    backward(loss);
  }
  memory.peak = used(peak_memory()) - used(before);
  memory.gradients = current_memory().total() - before.total();
  return memory;
}

PassMemory memory_of_pass(const CausalLM& model, i64 tokens, i64 vocab = 64) {
  return memory_of_pass(model, random_examples({tokens}, vocab).front());
}

TEST(MemoryOfFrozenWeights, HasNoGradients) {
  LoadedModel loaded = make_tiny(medium_llama());
  const Adapter adapter = inject_adapter(*loaded.model, lora_config(), {.key = RandomKey(1)});
  const PassMemory memory = memory_of_pass(*loaded.model, 32);
  EXPECT_EQ(memory.gradients, 4 * adapter.parameters());
}

// Layers below the lowest adapter keep nothing for backward: there is none.
TEST(MemoryOfFrozenWeights, BelowTheLowestAdapterKeepsNoActivations) {
  const auto peak = [](i64 layers, const std::vector<i64>& adapted) {
    LoadedModel loaded = make_tiny(medium_llama({{"num_hidden_layers", layers}}));
    inject_adapter(*loaded.model,
                   lora_config({{"target_modules", {"q_proj", "down_proj"}},
                                {"layers_to_transform", adapted}}),
                   {.key = RandomKey(1)});
    return memory_of_pass(*loaded.model, 128).peak;
  };
  const i64 one = peak(1, {0});
  EXPECT_LE(peak(6, {5}), one + one / 20);
  EXPECT_GE(peak(6, {0}), 3 * one) << "everything above an adapter is needed";
}

// What a layer keeps for backward, in floats a token: its input and the input of its second norm
// with the reciprocal root mean square of both; q, k, v and the attention's result with
// one log-sum-exp a head; gate and up. The outputs of the norms and of the gate are made again.
constexpr i64 kKeptFloats = 2 * (kHidden + 1) + (2 * kHidden + 2 * kKv + kHeads) + 2 * kMlp;

TEST(MemoryOfActivations, OfALayerIsWhatItsBackwardReads) {
  const auto kept = [](i64 layers, bool whole) {
    LoadedModel loaded =
        make_tiny(medium_llama({{"num_hidden_layers", layers}}), {.trainable = whole});
    if (!whole) {
      inject_adapter(*loaded.model, lora_config({{"target_modules", {"q_proj"}}}),
                     {.key = RandomKey(1)});
    }
    return memory_of_pass(*loaded.model, 64).kept;
  };
  EXPECT_EQ(kept(3, true) - kept(2, true), 64 * 4 * kKeptFloats);
  // An adapter of rank 4 adds A x, and no more.
  EXPECT_EQ(kept(3, false) - kept(2, false), 64 * 4 * (kKeptFloats + 4));
}

// What is kept falls by gate and up, 2 f of the values above, by the input of the second norm,
// which stays f32, and by nothing else: the adapters' A x are too few to make again.
TEST(MemoryOfActivations, OfALayerThatRecomputesHasNoGateNoUpAndNoMiddle) {
  const auto kept = [](i64 layers, bool whole, Keep keep) {
    LoadedModel loaded =
        make_tiny(medium_llama({{"num_hidden_layers", layers}}), {.trainable = whole});
    if (!whole) {
      inject_adapter(*loaded.model, lora_config({{"target_modules", {"q_proj", "up_proj"}}}),
                     {.key = RandomKey(1)});
    }
    const Example example = random_examples({64}, kVocab).front();
    const PassMemory all = memory_of_pass(*loaded.model, example, {.keep = keep});
    const PassMemory less =
        memory_of_pass(*loaded.model, example, {.recompute = Recompute::kSelective, .keep = keep});
    return all.kept - less.kept;
  };
  EXPECT_EQ(kept(2, true, Keep::kExact), 2 * 64 * 4 * (2 * kMlp + kHidden));
  // Below the first block's adapters nothing is trained: its input is held only to make the middle.
  constexpr i64 kMiddles = 2 * 64 * 4 * kHidden;
  EXPECT_EQ(kept(3, false, Keep::kExact), 3 * 64 * 4 * 2 * kMlp + kMiddles);
  EXPECT_EQ(kept(3, false, Keep::kRounded), 3 * 64 * 2 * 2 * kMlp + kMiddles)
      << "in bf16 gate and up were half as large";
}

TEST(MemoryOfActivations, OfAGpt2LayerThatRecomputesItsMlpHasNoResultOfCFc) {
  LoadedModel loaded =
      make_tiny(tiny_gpt2({{"n_embd", 64}, {"n_inner", 200}, {"n_layer", 3}}), {.trainable = true});
  const Example example = random_examples({60}, 29).front();
  EXPECT_EQ(memory_of_pass(*loaded.model, example).kept -
                memory_of_pass(*loaded.model, example, {.recompute = Recompute::kSelective}).kept,
            3 * 60 * 4 * 200);
}

TEST(MemoryOfActivations, PeakFallsByWhatTheLayersThatRecomputeDoNotKeep) {
  constexpr i64 kLayers = 8;
  constexpr i64 kTokens = 256;
  LoadedModel loaded = make_tiny(medium_llama({{"num_hidden_layers", kLayers}}));
  inject_adapter(*loaded.model, lora_config(), {.key = RandomKey(1)});
  const Example example = random_examples({kTokens}, kVocab).front();
  const i64 all = memory_of_pass(*loaded.model, example).peak;
  constexpr i64 kMadeAgain = kTokens * 4 * (2 * kMlp + kHidden);
  for (const i64 layers : {i64{3}, kLayers}) {
    const i64 peak = memory_of_pass(*loaded.model, example,
                                    {.recompute = Recompute::kSelective, .layers = layers})
                         .peak;
    // The peak is in the last layer's backward, which holds its own either way.
    // The first block holds its input, to make the middle from.
    const i64 fewer = std::min(layers, kLayers - 1) * kMadeAgain - kTokens * 4 * kHidden;
    // 2 % of the peak: the input of the MLP, a norm's output, is made again beside them.
    EXPECT_NEAR(static_cast<double>(all - peak), static_cast<double>(fewer),
                0.02 * static_cast<double>(all))
        << layers;
  }
}

TEST(MemoryOfActivations, ShrinksWhenBlocksAreRecomputed) {
  LoadedModel loaded = make_tiny(medium_llama({{"num_hidden_layers", 6}}));
  inject_adapter(*loaded.model, lora_config(), {.key = RandomKey(1)});
  const Example example = random_examples({256}, 64).front();
  const PassMemory all = memory_of_pass(*loaded.model, example);
  const PassMemory inputs =
      memory_of_pass(*loaded.model, example, {.recompute = Recompute::kBlock});
  // What is kept is the input of each of 6 blocks, and the head's; and on the way what one block
  // keeps, a sixth of all.
  constexpr i64 kInput = 256 * kHidden * 4;
  EXPECT_LE(inputs.kept, 8 * kInput);
  EXPECT_LE(inputs.peak, 8 * kInput + all.peak / 4);
  EXPECT_EQ(inputs.gradients, 0) << "they were there before";
}

TEST(MemoryOfActivations, GrowsLinearlyWithTheLength) {
  LoadedModel loaded = make_tiny(
      tiny_llama({{"num_attention_heads", 12}, {"num_key_value_heads", 12}, {"head_dim", 2}}));
  inject_adapter(*loaded.model, lora_config(), {.key = RandomKey(1)});
  const PassMemory once = memory_of_pass(*loaded.model, 2048, 29);
  const PassMemory twice = memory_of_pass(*loaded.model, 4096, 29);
  // 5 %: small things that do not grow. Scores would make it four times as much.
  EXPECT_LE(std::abs(twice.kept - 2 * once.kept), once.kept / 20);
  EXPECT_LE(std::abs(twice.peak - 2 * once.peak), once.peak / 20);
}

TEST(MemoryOfActivations, HoldsLogitsOfAFewRowsAtATime) {
  constexpr i64 kMany = 20'000;
  constexpr i64 kTokens = 1000;
  LoadedModel loaded = make_tiny(tiny_llama({{"vocab_size", kMany}}));
  inject_adapter(*loaded.model, lora_config(), {.key = RandomKey(1)});
  EXPECT_LE(memory_of_pass(*loaded.model, kTokens, kMany).peak, kTokens * kMany * 4 / 5)
      << "all logits are 80 MB";
}

TEST(MemoryOfARun, OfAnOptimizerIn8BitIsTwoBytesAWeightOfTheLayers) {
  const TempDirectory temp;
  write_lines(temp.file("rows.jsonl"), {{{"input_ids", {1, 2, 3, 4, 5}}}});
  const OrderedJson json = {{"model", {{"config", medium_llama()}}},
                            {"data", {{"train", temp.file("rows.jsonl")}}},
                            {"training", {{"max_steps", 2}, {"optim", "adamw_8bit"}}},
                            {"save", {{"output_dir", temp.file("run")}}},
                            {"runtime", {{"threads", 1}}}};
  RecordingListener listener;
  const RunResult result = run_training(read_run_config(temp, json), {}, listener);
  constexpr i64 kLayers = 2;
  constexpr i64 kBlock = 256;  // values with one scale; each matrix is so many whole blocks
  const i64 in_8bit = 2 * kLayers * (kLayerWeights + kLayerWeights / kBlock * 4);
  // The table of tokens and the norms keep f32 moments: kOtherBytes each for m and v.
  EXPECT_EQ(result.peak[MemoryClass::kOptimizer], in_8bit + 2 * kOtherBytes);
}

TEST(MemoryOfARun, IsReportedByClass) {
  const TempDirectory temp;
  std::vector<OrderedJson> rows;
  for (const Example& example : random_examples({40, 30}, 64)) {
    rows.push_back({{"input_ids", example.ids}});
  }
  write_lines(temp.file("rows.jsonl"), rows);
  const OrderedJson json = {{"model", {{"config", medium_llama()}}},
                            {"peft", {{"r", 4}}},
                            {"quantization", {{"load_in_4bit", true}}},
                            {"data", {{"train", temp.file("rows.jsonl")}}},
                            {"training", {{"max_steps", 2}}},
                            {"save", {{"output_dir", temp.file("run")}}},
                            {"runtime", {{"threads", 1}}}};
  RecordingListener listener;
  const i64 weights_before = current_memory()[MemoryClass::kWeights];
  const RunResult result = run_training(read_run_config(temp, json), {}, listener);
  const i64 trainable = listener.plan.forecast.trainable;
  EXPECT_EQ(listener.plan.memory[MemoryClass::kAdapters], 4 * trainable);
  EXPECT_EQ(listener.plan.memory[MemoryClass::kOptimizer], 0);
  expect_quantized_bytes(listener.plan.memory[MemoryClass::kWeights] - weights_before);
  EXPECT_EQ(result.peak[MemoryClass::kAdapters], 4 * trainable);
  EXPECT_LE(result.peak[MemoryClass::kGradients], 4 * trainable);
  EXPECT_LE(result.peak[MemoryClass::kOptimizer], 8 * trainable);  // AdamW: two moments
  EXPECT_GT(result.peak[MemoryClass::kActivations], 0);
  EXPECT_GE(result.peak_rss, result.peak.total());
  const OrderedJson manifest = OrderedJson::parse(read_text(temp.file("run/manifest.json")));
  EXPECT_EQ(manifest["peak_memory"]["tracked_bytes"], result.peak.total());
}

}  // namespace
}  // namespace inlay
