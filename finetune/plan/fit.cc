// SPDX-License-Identifier: Apache-2.0
#include "finetune/plan/fit.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "core/error.h"
#include "core/memory/available.h"
#include "core/memory/byte_text.h"
#include "finetune/train_run.h"

namespace inlay {
namespace {

// Of what is free, the tenth part is left: to others, and for what a plan may miss (3 % of the
// resident set at most, against runs of the example configs).
constexpr i64 kFreePartsOfTen = 9;

void set_recomputation(RunConfig& config, Recompute kind, std::optional<i64> layers) {
  config.training.gradient_checkpointing = kind;
  config.training.gradient_checkpointing_layers = layers;
}

// The fewest layers for which the run fits, when it does with all of them. What a run needs falls
// with every layer that recomputes.
void use_fewest_layers(FittedRun& run, RunInputs& inputs) {
  // Bisection: five rehearsals for 30 layers.
  const Recompute kind = *run.config.training.gradient_checkpointing.value;
  i64 enough = inputs.loaded.sizes.layers;
  i64 few = 0;
  while (enough - few > 1) {
    const i64 layers = (few + enough) / 2;
    FittedRun fewer = run;
    set_recomputation(fewer.config, kind, layers);
    fewer.forecast = rehearse(fewer.config, inputs);
    if (fewer.fits()) {
      enough = layers;
      run = std::move(fewer);
    } else {
      few = layers;
    }
  }
}

// A change of the config, and how to say it.
struct Change {
  std::string text;
  std::function<void(RunConfig&)> apply;
};

// Every change there is, in the order of what it costs in speed and quality. Those that have steps
// come with all of them.
std::vector<std::vector<Change>> possible_changes(const RunConfig& config) {
  const TrainingConfig& t = config.training;
  std::vector<std::vector<Change>> all;
  if (t.gradient_checkpointing != Recompute::kBlock || t.gradient_checkpointing_layers) {
    all.push_back({{"training.gradient_checkpointing=\"block\"",
                    [](RunConfig& c) { set_recomputation(c, Recompute::kBlock, {}); }}});
  }
  std::vector<Change> batches;
  for (i64 batch = t.per_device_train_batch_size / 2; batch > 0; batch /= 2) {
    // As many rows a step as before, so that the run learns much the same.
    const i64 accumulation =
        (t.per_device_train_batch_size * t.gradient_accumulation_steps + batch - 1) / batch;
    batches.push_back({str("training.per_device_train_batch_size=", batch,
                           " and gradient_accumulation_steps=", accumulation),
                       [batch, accumulation](RunConfig& c) {
                         c.training.per_device_train_batch_size = batch;
                         c.training.gradient_accumulation_steps = accumulation;
                       }});
  }
  all.push_back(std::move(batches));
  if (t.activation_dtype != DType::kBf16) {
    all.push_back({{"training.activation_dtype=\"bf16\"",
                    [](RunConfig& c) { c.training.activation_dtype = DType::kBf16; }}});
  }
  if (const std::string smaller(optimizer_named(t.optim).smaller); !smaller.empty()) {
    all.push_back({{str("training.optim=\"", smaller, "\""),
                    [smaller](RunConfig& c) { c.training.optim = smaller; }}});
  }
  if (config.runtime.prepack_weights == Prepack::kAlways) {
    all.push_back({{"runtime.prepack_weights=\"never\"",
                    [](RunConfig& c) { c.runtime.prepack_weights = Prepack::kNever; }}});
  }
  if (config.peft && !config.quantization && config.model.dtype != DType::kBf16) {
    all.push_back({{"model.dtype=\"bf16\"", [](RunConfig& c) { c.model.dtype = DType::kBf16; }}});
  }
  if (config.peft && !config.quantization) {
    all.push_back({{"quantization.load_in_4bit=true",
                    [](RunConfig& c) { c.quantization = QuantizationConfig(); }}});
  }
  if (config.peft && config.peft->r > 4) {
    all.push_back({{"peft.r=4", [](RunConfig& c) { c.peft->r = 4; }}});
  }
  std::vector<Change> lengths;
  constexpr i64 kShortest = 64;
  for (i64 length = config.data.max_length / 2; length >= kShortest; length /= 2) {
    lengths.push_back(
        {str("data.max_length=", length), [length](RunConfig& c) { c.data.max_length = length; }});
  }
  all.push_back(std::move(lengths));
  return all;
}

// The rows as a shorter max_length would leave them, as long as this lives.
class Shortened {
 public:
  Shortened(RunInputs& inputs, i64 length) : inputs_(inputs), whole_(inputs.train.examples) {
    for (Example& row : inputs.train.examples) {
      if (std::ssize(row.ids) > length) {
        row.ids.resize(length);
        row.labels.resize(length);
      }
    }
  }
  ~Shortened() { inputs_.train.examples = std::move(whole_); }
  Shortened(const Shortened&) = delete;
  Shortened& operator=(const Shortened&) = delete;

 private:
  RunInputs& inputs_;
  std::vector<Example> whole_;
};

struct Remedy {
  std::string text;
  i64 resident = 0;
};

// Of a change with steps the first that is enough, else the last.
std::optional<Remedy> remedy_of(const std::vector<Change>& steps, const FittedRun& run,
                                RunInputs& inputs) {
  std::optional<Remedy> remedy;
  for (const Change& change : steps) {
    FittedRun changed = run;
    change.apply(changed.config);
    // Rows are cut, not read again: a shorter max_length leaves the beginnings of the same rows.
    const Shortened shortened(inputs, changed.config.data.max_length);
    changed.forecast = rehearse(changed.config, inputs);
    remedy = {change.text, changed.forecast.resident};
    if (changed.fits()) {
      break;
    }
  }
  const bool helps = remedy && remedy->resident < run.forecast.resident;
  return helps ? remedy : std::nullopt;
}

}  // namespace

i64 allowed_memory(const RuntimeConfig& runtime) {
  if (const i64* bytes = std::get_if<i64>(&runtime.max_memory)) {
    return *bytes;
  }
  const std::string& text = std::get<std::string>(runtime.max_memory);
  if (text == "auto") {
    return available_memory() / 10 * kFreePartsOfTen + current_rss();
  }
  return bytes_from_text(text).value_or(0);  // the config's check let nothing else through
}

namespace {

FittedRun with_recomputation(RunConfig config, RunInputs& inputs) {
  FittedRun run;
  run.config = std::move(config);
  run.allowed = allowed_memory(run.config.runtime);
  if (!run.config.training.gradient_checkpointing.is_auto()) {
    run.forecast = rehearse(run.config, inputs);
    return run;
  }
  for (const Choice<Recompute>& more : ChoicesOf<Recompute>::all()) {
    set_recomputation(run.config, more.value, {});
    run.forecast = rehearse(run.config, inputs);
    if (run.fits()) {
      break;
    }
  }
  if (run.fits() && run.config.training.gradient_checkpointing != Recompute::kNone) {
    use_fewest_layers(run, inputs);
  }
  return run;
}

}  // namespace

FittedRun fit_run(RunConfig config, RunInputs& inputs) {
  const bool decides = config.runtime.prepack_weights == Prepack::kAuto;
  if (decides) {
    config.runtime.prepack_weights = Prepack::kNever;
  }
  FittedRun run = with_recomputation(std::move(config), inputs);
  const bool of_use = run.config.peft && run.config.training.compute_dtype != GemmCompute::kInt8;
  if (decides && of_use && run.fits()) {
    FittedRun prepacked = run;
    prepacked.config.runtime.prepack_weights = Prepack::kAlways;
    prepacked.forecast = rehearse(prepacked.config, inputs);
    return prepacked.fits() ? prepacked : run;
  }
  return run;
}

std::string does_not_fit(const FittedRun& run, RunInputs& inputs) {
  std::vector<Remedy> remedies;
  for (const std::vector<Change>& steps : possible_changes(run.config)) {
    if (std::optional<Remedy> remedy = remedy_of(steps, run, inputs)) {
      remedies.push_back(*std::move(remedy));
    }
  }
  // Those that are enough stand in the order of their cost, the others behind them by their size.
  std::ranges::stable_sort(remedies, std::ranges::less(), [&](const Remedy& r) {
    return r.resident <= run.allowed ? 0 : r.resident;
  });
  constexpr std::size_t kMentioned = 3;
  remedies.resize(std::min(kMentioned, remedies.size()));
  std::string text =
      str("/runtime/max_memory: the run needs ", readable_bytes(run.forecast.resident),
          " of memory with "
          "gradient_checkpointing \"",
          choice_name(run.config.training.gradient_checkpointing), "\", and ",
          readable_bytes(run.allowed), " are allowed");
  for (std::size_t i = 0; i < remedies.size(); ++i) {
    text += str(i == 0                    ? "; it would need "
                : i + 1 < remedies.size() ? ", "
                                          : " or ",
                readable_bytes(remedies[i].resident), " with ", remedies[i].text);
  }
  return text;
}

}  // namespace inlay
