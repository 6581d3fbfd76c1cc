// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/training_run.h"

namespace inlay {

/// How far inlay may be from a run of PEFT's. Two f32 implementations drift apart over 20 steps:
/// AdamW divides by the root of squared gradients, so an entry whose gradient is near zero can turn
/// by a good part of a step. What was measured at most stands behind each bound; a wrong formula
/// (the order of decay and step, a schedule off by one, a dropped bias) moves losses by 1e-3 and
/// more.
struct PeftRunBounds {
  double loss = 1e-5;            // 1.0e-6
  double grad_norm = 3e-5;       // 2.5e-6, relative
  double learning_rate = 1e-15;  // both sides compute in double
  double adapter = 2e-5;         // 1.4e-6, of values up to 1
  double logits = 1e-4;          // 1.3e-5, of values up to 10
};

/// A training run of PEFT's as files: `<folder>/<run>_init`, `_data`, `_curve` and, where they are
/// there, `_final` and the final logits. Trained again with inlay, on a base of its own or the
/// folder's model.
class PeftRun {
 public:
  struct Base {
    std::string model;      // a path
    bool quantize = false;  // as it loads
  };

  PeftRun(std::string folder, std::string run, Base base, const PeftRunBounds& bounds = {})
      : folder_(std::move(folder)), run_(std::move(run)), base_(std::move(base)), bounds_(bounds) {}

  std::string file(const std::string& end) const { return folder_ + "/" + run_ + end; }
  bool has_final_adapter() const { return std::filesystem::exists(file("_final")); }
  StoredTensors data() const { return StoredTensors(file("_data.safetensors")); }
  OrderedJson curve() const { return parse_ordered_json(read_text(file("_curve.json")), "curve"); }
  const TempDirectory& place() const { return temp_; }
  const Base& base() const { return base_; }

  // The four batches of two rows each, in their order.
  void write_rows() const {
    std::vector<OrderedJson> rows;
    for (i64 b = 0; b < 4; ++b) {
      const auto ids = data().rows("input_ids_" + std::to_string(b));
      const auto labels = data().rows("labels_" + std::to_string(b));
      for (std::size_t r = 0; r < ids.size(); ++r) {
        rows.push_back({{"input_ids", ids[r]}, {"labels", labels[r]}});
      }
    }
    write_lines(temp_.file("rows.jsonl"), rows);
  }

  // PEFT's own file pasted into the config, keys and all.
  OrderedJson peft() const {
    OrderedJson json =
        parse_ordered_json(read_text(file("_init/adapter_config.json")), "adapter_config.json");
    json["init_from"] = file("_init");
    return json;
  }

  OrderedJson config(i64 batch_size, i64 accumulation, const char* compute_dtype) const {
    const OrderedJson settings = curve();
    OrderedJson json;
    json["model"] = {{"model_name_or_path", base_.model}};
    if (base_.quantize) {
      json["quantization"] = {{"load_in_4bit", true}};
    }
    json["peft"] = peft();
    json["data"] = {{"train", temp_.file("rows.jsonl")}, {"format", "tokens"}, {"shuffle", false}};
    json["training"] = {{"max_steps", settings["steps"]},
                        {"per_device_train_batch_size", batch_size},
                        {"gradient_accumulation_steps", accumulation},
                        {"learning_rate", settings["lr"]},
                        {"lr_scheduler_type", "cosine"},
                        {"warmup_steps", settings["warmup"]},
                        {"weight_decay", settings["weight_decay"]},
                        {"max_grad_norm", settings["clip"]},
                        {"compute_dtype", compute_dtype}};
    json["save"] = {{"output_dir", temp_.file("run")}};
    json["runtime"] = {{"threads", 1}};
    return json;
  }

  RecordingListener train(i64 batch_size, i64 accumulation,
                          const char* compute_dtype = "f32") const {
    write_rows();
    RecordingListener listener;
    const RunResult result = run_training(
        read_run_config(temp_, config(batch_size, accumulation, compute_dtype)), {}, listener);
    EXPECT_TRUE(result.finished);
    EXPECT_EQ(result.output, temp_.file("run/adapter"));
    return listener;
  }

  void expect_curve(const std::vector<StepMetrics>& steps) const {
    const OrderedJson expected = curve();
    ASSERT_EQ(steps.size(), expected["losses"].size());
    for (std::size_t s = 0; s < steps.size(); ++s) {
      EXPECT_EQ(steps[s].step, static_cast<i64>(s) + 1);
      EXPECT_NEAR(steps[s].loss, expected["losses"][s].get<double>(), bounds_.loss)
          << "step " << s + 1;
      const double norm = expected["grad_norms"][s].get<double>();
      EXPECT_NEAR(steps[s].grad_norm, norm, bounds_.grad_norm * norm) << "step " << s + 1;
      EXPECT_NEAR(steps[s].learning_rate, expected["lrs"][s].get<double>(), bounds_.learning_rate);
    }
  }

  void expect_final_adapter() const {
    const StoredTensors found(temp_.file("run/adapter/adapter_model.safetensors"));
    const StoredTensors expected(file("_final/adapter_model.safetensors"));
    std::vector<std::string> names = found.names();
    std::vector<std::string> expected_names = expected.names();
    std::ranges::sort(names);
    std::ranges::sort(expected_names);
    ASSERT_EQ(names, expected_names);
    for (const std::string& name : names) {
      EXPECT_EQ(found.floats(name).shape(), expected.floats(name).shape()) << name;
      EXPECT_LE(largest_difference(found.floats(name), expected.floats(name)), bounds_.adapter)
          << name;
    }
  }

  LoadedModel load_base() const {
    LoadOptions options;
    options.model.model_name_or_path = base_.model;
    if (base_.quantize) {
      options.quantization = QuantizationConfig();
    }
    return load_model(options);
  }

  void expect_final_logits(const LoadedModel& loaded) const {
    EXPECT_LE(largest_difference(logits_of(*loaded.model, data().rows("final_logits_input_ids")),
                                 data().floats("final_logits")),
              bounds_.logits);
  }

 private:
  std::string folder_, run_;
  Base base_;
  PeftRunBounds bounds_;
  TempDirectory temp_;
};

}  // namespace inlay
