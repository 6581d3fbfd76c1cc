// SPDX-License-Identifier: Apache-2.0

// `inlay plan` beside `inlay train`, each in a process of its own.

#include <gtest/gtest.h>

#include <string>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

// Large enough that the process itself, some 10 MB, is a small part.
Json medium_run() {
  return {{"model",
           {{"config",
             {{"model_type", "llama"},
              {"vocab_size", 2000},
              {"hidden_size", 256},
              {"intermediate_size", 768},
              {"num_hidden_layers", 8},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"tie_word_embeddings", true}}}}},
          {"peft", {{"r", 8}, {"target_modules", "all-linear"}}},
          {"data", {{"train", "ids.jsonl"}, {"format", "tokens"}}},
          {"training", {{"max_steps", 3}, {"per_device_train_batch_size", 2}}},
          {"save", {{"output_dir", "planned"}}},
          {"runtime", {{"threads", 2}}}};
}

std::string rows_of_ids(i64 rows, i64 length) {
  std::string text;
  for (i64 r = 0; r < rows; ++r) {
    Json ids = Json::array();
    for (i64 t = 0; t < length; ++t) {
      ids.push_back((r * 37 + t * t) % 2000);
    }
    text += Json({{"input_ids", ids}}).dump() + "\n";
  }
  return text;
}

Json answer(const Workshop& workshop, const std::string& arguments) {
  const Finished finished = workshop.run(arguments + " --json");
  EXPECT_EQ(finished.exit_code, 0) << arguments << ": " << finished.err;
  return Json::parse(finished.out);
}

void expect_near(const Json& plan, const Json& run, const char* key) {
  // 5 % is what a plan promises: blocks of memory are taken in whole pages and holes between them
  // depend on every batch's length.
  EXPECT_NEAR(plan[key].get<double>(), run[key].get<double>(), 0.05 * run[key].get<double>())
      << key;
}

TEST(Plan, PredictsTrackedAndResidentMemoryOfARun) {
  const Workshop workshop;
  workshop.write("medium.json", medium_run().dump());
  workshop.write("ids.jsonl", rows_of_ids(6, 500));
  for (const std::string changes : {"", " --set training.gradient_checkpointing=block",
                                    " --set peft=null --set training.activation_dtype=f32"}) {
    const Json plan = answer(workshop, "plan medium.json" + changes);
    const Json run = answer(workshop, "train medium.json --overwrite" + changes);
    expect_near(plan, run, "peak_tracked_bytes");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    expect_near(plan, run, "peak_rss_bytes");
#endif
    i64 sum = 0;
    for (const auto& [name, bytes] : plan["peak_tracked"].items()) {
      sum += bytes.get<i64>();
    }
    EXPECT_EQ(sum, plan["peak_tracked_bytes"]);
    EXPECT_EQ(plan["steps"], run["steps"]);
  }
}

TEST(Plan, SaysWhatTheRunIsAndWritesNothing) {
  const Workshop workshop;
  workshop.write("medium.json", medium_run().dump());
  workshop.write("ids.jsonl", rows_of_ids(7, 64));
  const Json plan = answer(workshop, "plan medium.json --set training.max_steps=-1");
  EXPECT_EQ(plan["model"], "llama");
  EXPECT_EQ(plan["rows"], 7);
  EXPECT_EQ(plan["tokens"], 7 * 64);
  EXPECT_EQ(plan["trained_tokens"], 7 * 63);
  EXPECT_EQ(plan["steps"], 4);
  EXPECT_EQ(plan["gradient_checkpointing"], "none");
  EXPECT_EQ(plan["gradient_checkpointing_layers"], nullptr);
  EXPECT_TRUE(plan["fits"]);
  // Eight layers of q, o 256 x 256, k, v 128 x 256 and three of 768 x 256, and a head of
  // 2000 x 256; the ranks take 8 values a side; attention sees (T + 1) / 2 keys.
  constexpr double kN = 8.0 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256) + 2000 * 256;
  constexpr double kLora = 8.0 * 8 * (2 * 512 + 2 * 384 + 3 * 1024);
  EXPECT_EQ(plan["trainable"], kLora);
  EXPECT_DOUBLE_EQ(plan["mflop_a_token"], (4 * kN + 6 * kLora + 3.5 * 65 * 2 * 8 * 256) / 1e6);
  const Finished text = workshop.run("plan medium.json");
  EXPECT_EQ(text.exit_code, 0) << text.err;
  for (const char* part :
       {"model.layers.*.self_attn.q_proj", "trainable   311 296 parameters", "steps       3 (4 an",
        "recomputed  nothing (gradient_checkpointing none)", "memory      ", "resident    "}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
  EXPECT_EQ(workshop.run("inspect planned").exit_code, static_cast<int>(ExitCode::kData));
}

TEST(Plan, OfARunThatDoesNotFitEndsWithCodeThree) {
  const Workshop workshop;
  const Finished plan = workshop.run("plan run.json --set runtime.max_memory=1MB --json");
  EXPECT_EQ(plan.exit_code, static_cast<int>(ExitCode::kMemory));
  const Json answer = Json::parse(plan.out);
  EXPECT_FALSE(answer["fits"]);
  EXPECT_EQ(answer["allowed_bytes"], 1'000'000);
  EXPECT_TRUE(plan.err.starts_with("inlay: /runtime/max_memory: the run needs ")) << plan.err;
  EXPECT_NE(plan.err.find(" and 1.0 MB are allowed"), std::string::npos) << plan.err;
  workshop.expect_refused("train run.json --set runtime.max_memory=1MB", ExitCode::kMemory,
                          "/runtime/max_memory: the run needs …");
}

TEST(Plan, RefusesWhatTrainRefuses) {
  const Workshop workshop;
  workshop.expect_refused(
      "plan run.json --set runtime.max_memory=lots", ExitCode::kUsage,
      "--set runtime.max_memory=lots: /runtime/max_memory: expected \"auto\", a number of bytes, "
      "or a size such as \"6GB\" or \"900MiB\", found \"lots\"");
  workshop.expect_refused("plan run.json --set data.train=none.jsonl", ExitCode::kData, "…");
  workshop.expect_refused("plan run.json --set peft.target_modules=[\"qq_proj\"]", ExitCode::kUsage,
                          "…");
}

}  // namespace
}  // namespace inlay
