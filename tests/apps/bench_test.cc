// SPDX-License-Identifier: Apache-2.0

// `inlay bench` at sizes that take no time: what it counts is exact, what it measures is plausible.

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "core/kernels/gemm.h"
#include "core/parallel.h"
#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

Json measured(const Workshop& workshop, const std::string& arguments) {
  const Finished finished = workshop.run("bench " + arguments + " --json");
  EXPECT_EQ(finished.exit_code, 0) << arguments << ": " << finished.err;
  return Json::parse(finished.out);
}

void expect_machine(const Json& machine, i64 threads) {
  EXPECT_FALSE(machine["instruction_set"].get<std::string>().empty());
  EXPECT_EQ(machine["threads"], threads);
  ASSERT_EQ(machine["peak"].size(), threads == 1 ? 1U : 2U);
  for (const Json& peak : machine["peak"]) {
    EXPECT_GT(peak["f32_gflops"], 0.1);  // a processor of this century
    EXPECT_LT(peak["f32_gflops"], 1e5);
    EXPECT_GE(peak["bf16_gflops"], 0.0);
    EXPECT_GE(peak["int8_gops"], 0.0);
    EXPECT_GT(peak["read_gb_s"], 0.01);
  }
  EXPECT_EQ(machine["peak"][0]["threads"], 1);
  EXPECT_EQ(machine["peak"].back()["threads"], threads);
}

void expect_timing(const Json& timing, std::size_t steps) {
  EXPECT_EQ(timing["rates"].size(), steps);
  EXPECT_EQ(timing["cpu_rates"].size(), steps);
  EXPECT_GT(timing["best_s"], 0.0);
  EXPECT_GE(timing["median_s"], timing["best_s"]);
  EXPECT_GE(timing["best_rate"], timing["median_rate"]);
  for (const Json& rate : timing["rates"]) {
    EXPECT_GT(rate, 0.0);
    EXPECT_LE(rate, timing["best_rate"].get<double>() * (1 + 1e-9));  // a rounded division
  }
}

TEST(Bench, TrainCountsTheWorkOfATokenAndTheBytesOfEachClass) {
  const Workshop workshop;
  const Json lora =
      measured(workshop, "train --shape tiny --batch 2 --length 16 --steps 3 --threads 1");
  EXPECT_EQ(lora["tokens_a_step"], 32);
  expect_timing(lora["step"], 3);
  expect_machine(lora["machine"], 1);
  // Two layers of 36864 weights and a head of 256 x 64; rank 8 on seven layers whose sides add up
  // to 1024; (T + 1) 2 L H d = 17 * 2 * 2 * 64 for attention.
  constexpr double kN = 2 * 36864 + 256 * 64, kLora = 2 * 8 * 1024, kAttention = 17 * 2 * 2 * 64;
  EXPECT_DOUBLE_EQ(lora["useful_mflop_a_token"], (4 * kN + 6 * kLora + 3.5 * kAttention) / 1e6);
  EXPECT_EQ(lora["trained_parameters"], kLora);
  EXPECT_DOUBLE_EQ(lora["tokens_per_second"], lora["step"]["median_rate"]);
  EXPECT_DOUBLE_EQ(lora["useful_gflops"], lora["useful_mflop_a_token"].get<double>() *
                                              lora["tokens_per_second"].get<double>() / 1e3);
  EXPECT_GT(lora["fraction_of_peak"], 0.0);
  i64 sum = 0;
  for (const auto& [name, bytes] : lora["peak_tracked"].items()) {
    sum += bytes.get<i64>();
  }
  EXPECT_EQ(lora["peak_tracked_bytes"], sum);
  EXPECT_EQ(lora["peak_tracked"]["adapters"], 4 * kLora);
  EXPECT_EQ(lora["peak_tracked"]["optimizer"], 8 * kLora);
  EXPECT_GT(lora["peak_rss_bytes"], sum);
  // The machine is measured after the work: its half gigabyte is not in the peak.
  EXPECT_LT(lora["peak_rss_bytes"], i64{300} << 20);
  EXPECT_FALSE(lora.contains("profile"));

  const Json full = measured(
      workshop, "train --shape tiny --peft none --batch 2 --length 16 --steps 1 --threads 1");
  EXPECT_DOUBLE_EQ(full["useful_mflop_a_token"], (6 * kN + 3.5 * kAttention) / 1e6);
  EXPECT_GT(full["trained_parameters"], kN);  // and the norms
}

TEST(Bench, TrainProfilesWholeSteps) {
  const Workshop workshop;
  const Json out = measured(
      workshop, "train --shape tiny --peft qlora --batch 2 --length 64 --steps 2 --profile");
  double seconds = 0.0;
  double share = 0.0;
  std::map<std::string, i64> calls;
  for (const Json& entry : out["profile"]) {
    seconds += entry["seconds"].get<double>();
    share += entry["share"].get<double>();
    calls[entry["op"].get<std::string>() + " " + entry["phase"].get<std::string>()] =
        entry["calls"];
  }
  EXPECT_NEAR(share, 1.0, 1e-6);
  double steps = 0.0;
  for (const Json& rate : out["step"]["rates"]) {
    steps += out["tokens_a_step"].get<double>() / rate.get<double>();
  }
  EXPECT_LE(seconds, steps * (1.0 + 1e-6));  // it lies within them; rates are rounded
  EXPECT_GT(seconds, 0.5 * steps);
  EXPECT_EQ(calls["attention forward"], 2 * 2);  // two layers in each of two steps
  EXPECT_EQ(calls["attention backward"], 2 * 2);
  EXPECT_EQ(calls["project backward"], 2 * 2 * 2);  // q, k, v; o
  EXPECT_EQ(calls["mlp backward"], 2 * 2);
  EXPECT_EQ(calls["optimizer other"], 2);
}

TEST(Bench, TrainScalingSaysWhereTheRestWent) {
  const Workshop workshop;
  const Json out = measured(
      workshop, "train --shape tiny --batch 2 --length 64 --steps 3 --scaling --threads 3");
  ASSERT_EQ(out["scaling"].size(), 3U);
  const int threads[] = {1, 2, 3};
  const double one = out["scaling"][0]["tokens_per_second"];
  for (std::size_t i = 0; i < 3; ++i) {
    const Json& row = out["scaling"][i];
    EXPECT_EQ(row["threads"], threads[i]);
    EXPECT_EQ(out["machine"]["peak"][i]["threads"], threads[i]);
    expect_timing(row["step"], 3);
    EXPECT_DOUBLE_EQ(row["speedup"], row["tokens_per_second"].get<double>() / one);
    EXPECT_DOUBLE_EQ(row["efficiency"], row["speedup"].get<double>() / threads[i]);
    EXPECT_GE(row["serial_share"], 0.0);
    EXPECT_LT(row["serial_share"], 1.0);
  }
  double lost = 0.0;
  double most = 1e9;
  std::set<std::string> ops;
  for (const Json& loss : out["lost"]) {
    EXPECT_NEAR(loss["lost_s"],
                loss["seconds"].get<double>() - loss["one_thread_s"].get<double>() / 3, 1e-12);
    EXPECT_LE(loss["lost_s"], most);  // the most first
    EXPECT_LE(loss["serial_s"], loss["seconds"].get<double>());
    most = loss["lost_s"];
    lost += most;
    ops.insert(loss["op"].get<std::string>() + " " + loss["phase"].get<std::string>());
  }
  EXPECT_NEAR(out["lost_seconds_a_step"], lost, 1e-9);
  for (const char* op : {"attention backward", "mlp forward", "optimizer other"}) {
    EXPECT_TRUE(ops.contains(op)) << op;
  }
  workshop.expect_refused("bench train --scaling --profile", kUsage,
                          "bench train: --scaling has a profile of its own: leave out --profile");
}

TEST(Bench, TrainTakesARunConfigAndLeavesItsDataAndOutputAlone) {
  const Workshop workshop;
  const Json out = measured(workshop,
                            "train run.json --batch 3 --length 8 --steps 1 --set "
                            "data.train=nowhere.jsonl --set save.output_dir=untouched");
  EXPECT_EQ(out["tokens_a_step"], 24);
  EXPECT_EQ(workshop.run("inspect untouched").exit_code, static_cast<int>(ExitCode::kData));
}

TEST(Bench, AttentionCountsThePairsThatAreSeen) {
  const Workshop workshop;
  const Json out = measured(workshop,
                            "attention --batch 2 --length 10 --heads 4 --kv-heads 2 --head-dim 8 "
                            "--steps 2 --threads 2");
  expect_machine(out["machine"], 2);
  const Json& one = out["cases"].at(0);
  for (const char* phase : {"forward", "backward", "both"}) {
    expect_timing(one[phase], 2);
    EXPECT_EQ(one[phase]["unit"], "GFLOP/s");
  }
  constexpr double kForward = 4.0 * 8 * 4 * 2 * 55;  // 55 pairs
  EXPECT_NEAR(
      one["forward"]["median_rate"].get<double>() * one["forward"]["median_s"].get<double>() * 1e9,
      kForward, 1e-6 * kForward);
  EXPECT_NEAR(
      one["both"]["median_rate"].get<double>() * one["both"]["median_s"].get<double>() * 1e9,
      3.5 * kForward, 1e-6 * kForward);
}

TEST(Bench, AttentionMultipliesInBf16WhenAsked) {
  const Workshop workshop;
  const Json out = measured(workshop, "attention --length 64 --steps 1 --compute-dtype bf16");
  EXPECT_EQ(out["cases"][0]["compute_dtype"], "bf16");
  expect_timing(out["cases"][0]["both"], 1);
}

TEST(Bench, GemmTimesAProductAndItsGradients) {
  const Workshop workshop;
  const Json dense = measured(workshop, "gemm --rows 4 --inner 64 --columns 32 --steps 2");
  for (const char* phase : {"product", "input_gradient", "weight_gradient"}) {
    expect_timing(dense["cases"][0][phase], 2);
  }
#if defined(INLAY_ONEDNN)
  for (const char* phase : {"product", "input_gradient", "weight_gradient"}) {
    expect_timing(dense["cases"][0][std::string("onednn_") + phase], 2);
  }
#endif
  const Json four_bit =
      measured(workshop, "gemm --rows 4 --inner 64 --columns 32 --format nf4-dq --steps 2");
  EXPECT_FALSE(four_bit["cases"][0].contains("weight_gradient"));  // it is frozen
  EXPECT_EQ(measured(workshop, "gemm --rows 1 --steps 1")["cases"].size(), 4U);
  const Json rounded =
      measured(workshop, "gemm --rows 40 --inner 64 --columns 32 --steps 1 --compute-dtype bf16");
  EXPECT_EQ(rounded["cases"][0]["compute_dtype"], "bf16");
  expect_timing(rounded["cases"][0]["product"], 1);
  if (kernels::has_bf16_products()) {
    const Json narrow = measured(workshop,
                                 "gemm --rows 40 --inner 64 --columns 32 --steps 1 --compute-dtype "
                                 "bf16 --format bf16 --values bf16");
    EXPECT_EQ(narrow["cases"][0]["values"], "bf16");
    expect_timing(narrow["cases"][0]["product"], 1);
    expect_timing(narrow["cases"][0]["input_gradient"], 1);
  }
  const Json quantised =
      measured(workshop, "gemm --rows 40 --inner 64 --columns 32 --steps 1 --compute-dtype int8");
  EXPECT_EQ(quantised["cases"][0]["compute_dtype"], "int8");
  expect_timing(quantised["cases"][0]["input_gradient"], 1);
  EXPECT_FALSE(quantised["cases"][0].contains("weight_gradient"));  // never in 8 bits
}

TEST(Bench, ThreadsThatAreBoundHaveAProcessorEach) {
  const Workshop workshop;
  const int processors = available_processors();
  ASSERT_EQ(setenv("OMP_PROC_BIND", "true", 1), 0);
  const Json out = measured(workshop, "gemm --rows 4 --inner 64 --columns 32 --steps 1");
  unsetenv("OMP_PROC_BIND");
  expect_machine(out["machine"], processors);
}

TEST(Bench, QuantWalksEveryFormatThatCanBeEncoded) {
  const Workshop workshop;
  const Json out = measured(workshop, "quant --rows 8 --columns 256 --steps 1");
  ASSERT_GE(out["cases"].size(), 4U);
  for (const Json& one : out["cases"]) {
    EXPECT_GT(one["bits"], 4.0);
    EXPECT_LE(one["bits"], 9.0);
    EXPECT_EQ(one["encode"]["unit"], "GB/s");
    EXPECT_EQ(one["product"]["unit"], "GFLOP/s");
    expect_timing(one["decode"], 1);
  }
}

TEST(Bench, GenerateTimesThePromptAndTheTokensAfterIt) {
  const Workshop workshop;
  for (const std::string model : {"--shape tiny", "-m model"}) {
    const Json out = measured(workshop, "generate " + model + " --length 5 -n 4 --steps 2");
    const Json& one = out["cases"].at(0);
    EXPECT_EQ(one["prompt_tokens"], 5);
    EXPECT_EQ(one["decoded_tokens"], 3);
    expect_timing(one["prompt"], 2);
    expect_timing(one["decode"], 2);
    EXPECT_GT(out["peak_tracked_bytes"], 0);
  }
}

TEST(Bench, TokenizeCutsTextsBehindLines) {
  const Workshop workshop;
  workshop.write("text.txt", "one\ntwo\nthree\n\nfour");
  const Json result = measured(
      workshop, "tokenize --tokenizer bytes --file text.txt --bytes 5 --steps 2 --threads 1");
  EXPECT_EQ(result["bytes"], 19);
  EXPECT_EQ(result["tokens"], 19);
  EXPECT_EQ(result["texts"], 3);  // "one\ntwo\n", "three\n" and "\nfour"
  EXPECT_GT(result["megabytes_a_core"], 0.0);
  expect_timing(result["encode"], 2);
}

TEST(Bench, PrintsForPeopleToo) {
  const Workshop workshop;
  const auto printed = [&](const std::string& arguments) {
    const Finished finished = workshop.run("bench " + arguments);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    return finished.out;
  };
  const std::string train =
      printed("train --shape tiny --length 8 --steps 1 --threads 1 --profile");
  for (const char* part : {"tokens/s", "% of the peak", "resident", "attention", "backward"}) {
    EXPECT_NE(train.find(part), std::string::npos) << part << " in\n" << train;
  }
  EXPECT_NE(printed("generate --shape tiny --length 4 -n 2 --steps 1").find("decode"),
            std::string::npos);
  EXPECT_NE(printed("attention --length 8 --steps 1").find("GFLOP/s"), std::string::npos);
  EXPECT_NE(printed("--help").find("attention"), std::string::npos);
  EXPECT_EQ(workshop.run("bench").exit_code, static_cast<int>(ExitCode::kUsage));
}

struct BadBench {
  const char* arguments;
  const char* sentence;
};

TEST(Bench, RefusesWhatMakesNoSense) {
  const Workshop workshop;
  const BadBench cases[] = {
      {"trian",
       "bench: unknown benchmark \"trian\" (did you mean \"train\"?); there are: train, "
       "attention, gemm, quant, generate, tokenize"},
      {"train --shape smollm2-135",
       "--shape: expected one of smollm2-135m, gpt2-124m, qwen2-0.5b, qwen2-7b, "
       "qwen3-0.6b, gemma3-270m, smollm3-3b, tiny, found \"smollm2-135\" (did you mean "
       "\"smollm2-135m\"?)"},
      {"train run.json --shape tiny",
       "bench train: --shape, --peft, --rank and --dtype describe a run without RUN.json (--set "
       "changes its keys)"},
      {"train --peft dora", "--peft: expected one of lora, qlora, none, found \"dora\"…"},
      {"train --shape tiny --set runtime.max_memory=1GB",
       "bench train: runtime.max_memory needs a plan: set training.gradient_checkpointing, as "
       "`inlay plan` prints it"},
      {"train --shape tiny --set runtime.prepack_weights=auto",
       "bench train: runtime.prepack_weights \"auto\" needs a plan: set it to \"always\" or "
       "\"never\""},
      {"train --length 1", "--length: expected at least 2, found 1"},
      {"train --steps 0", "--steps: expected at least 1, found 0"},
      {"train --threads 100000", "--threads: expected at most 1024, found 100000"},
      {"train --shape gpt2-124m --rank 2000", "inlay bench: /peft/r: expected…"},
      {"attention --kv-heads 2", "--kv-heads: expected a divisor of --heads 9, found 2"},
      {"attention --length 99999999", "--length: expected at most 16777216, found 99999999"},
      {"attention --compute-dtype int3",
       "--compute-dtype: expected one of f32, bf16, found \"int3\"…"},
      {"gemm --inner 64", "bench gemm: give both of --inner and --columns, or neither"},
      {"gemm --inner 64 --columns 64 --format nf5", "--format: expected one of …"},
      {"gemm --inner 64 --columns 64 --values bf16",
       "--values: bf16 needs --compute-dtype bf16 and a processor that multiplies bf16"},
      {"quant --format q2_k", "--format: expected one of …"},
      {"tokenize --tokenizer bytes --file rows.jsonl --bytes 0",
       "--bytes: expected at least 1, found 0"},
      {"generate --new-tokens 1", "--new-tokens: expected at least 2, found 1"},
      {"generate --shape tiny -m model", "bench generate: give one of --model and --shape"},
  };
  for (const BadBench& bad : cases) {
    workshop.expect_refused(std::string("bench ") + bad.arguments, ExitCode::kUsage, bad.sentence);
  }
}

}  // namespace
}  // namespace inlay
