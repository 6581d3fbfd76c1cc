// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "core/kernels/cpu/isa/isa.h"
#include "core/parallel.h"
#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

TEST(Doctor, SaysWhatTheMachineOffers) {
  const Workshop workshop;
  const Finished finished = workshop.run("doctor --json");
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const Json out = Json::parse(finished.out);
  EXPECT_EQ(out["processors"], available_processors());
  EXPECT_EQ(out["instruction_sets"].back(), kernels::isa_name(kernels::active_isa()));
  EXPECT_EQ(out["machine"]["instruction_set"], kernels::isa_name(kernels::active_isa()));
  EXPECT_GT(out["memory_bytes"], i64{1} << 28);
  EXPECT_LE(out["available_bytes"], out["memory_bytes"].get<i64>());
  EXPECT_GT(out["arithmetic"]["f32_gflops_a_thread"], 0.1);
  EXPECT_TRUE(out["address_bytes"].is_null());
}

// The plan, the doctor and the run choose the same, and the run writes it down.
TEST(Doctor, ChoosesAsPlanAndTrainDo) {
  const Workshop workshop;
  const auto answer = [&](const std::string& command) {
    const Finished finished = workshop.run(command + " --json");
    EXPECT_EQ(finished.exit_code, 0) << command << ": " << finished.err;
    return Json::parse(finished.out);
  };
  const Json doctor = answer("doctor")["arithmetic"];
  const Json plan = answer("plan run.json --set training.compute_dtype=auto")["arithmetic"];
  EXPECT_EQ(plan["compute_dtype"], doctor["compute_dtype"]);
  EXPECT_EQ(plan["bf16_products"], doctor["bf16_products"]);
  answer("train run.json --set training.compute_dtype=auto --set save.output_dir=chosen");
  const Json resolved = Json::parse(workshop.read("chosen/config.resolved.json"))["training"];
  EXPECT_EQ(resolved["compute_dtype"], doctor["compute_dtype"]);
  EXPECT_EQ(resolved["bf16_products"],
            doctor["bf16_products"].is_null() ? Json("auto") : doctor["bf16_products"]);
}

}  // namespace
}  // namespace inlay
