// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const Json kLinear = {{"rope_type", "linear"}, {"factor", 4.0}};

// A workshop whose run lengthens the model, saving its two steps.
class Lengthened {
 public:
  explicit Lengthened(Changes more = {}) {
    Changes changes = {
        {"/model/rope_scaling", kLinear}, {"/training/max_steps", 2}, {"/save/save_steps", 1}};
    changes.insert(changes.end(), more.begin(), more.end());
    workshop.write("run.json", run_json(changes));
    workshop.write("ids.json", R"({"input_ids": [[1, 2, 3, 4, 5, 6, 7, 8]]})");
  }
  Finished expect(const std::string& command) const {
    const Finished finished = workshop.run(command);
    EXPECT_EQ(finished.exit_code, 0) << command << "\n" << finished.err;
    return finished;
  }
  // The file of logits that these options give.
  std::string logits(const std::string& options) const {
    expect("logits --ids ids.json --out logits.safetensors " + options);
    return workshop.read("logits.safetensors");
  }

  Workshop workshop;
};

TEST(RopeScaling, IsPlannedTrainedResumedAndMerged) {
  const Lengthened run;
  EXPECT_NE(run.expect("plan run.json")
                .out.find("rope        linear, factor 4, 512 positions (model.rope_scaling)\n"),
            std::string::npos);
  EXPECT_EQ(Json::parse(run.expect("plan run.json --json").out)["rope_scaling"],
            "linear, factor 4, 512 positions");
  const std::string note =
      "the adapter is for a base with rope_scaling {\"factor\":4.0,\"rope_type\":\"linear\"}";
  EXPECT_NE(run.expect("train run.json").err.find(note), std::string::npos);
  const std::string adapter = run.workshop.read("out/adapter/adapter_model.safetensors");
  run.expect("train run.json --resume step-1");
  EXPECT_EQ(run.workshop.read("out/adapter/adapter_model.safetensors"), adapter);

  run.expect("merge --model model --adapter out/adapter --out merged");
  const Json config = run.workshop.read_json("merged/config.json");
  const Json rope = {{"rope_type", "linear"}, {"factor", 4.0}, {"rope_theta", 10000.0}};
  EXPECT_EQ(config["rope_parameters"], rope);
  EXPECT_EQ(config["max_position_embeddings"], 512);
}

TEST(RopeScaling, IsThatOfTheRunWhereverItsAdapterIsUsed) {
  const Lengthened run;
  run.expect("train run.json");
  const std::string with = run.logits("--model model --adapter out/adapter");
  EXPECT_EQ(run.logits("--model model --adapter out/checkpoints/step-2"), with);
  EXPECT_NE(run.logits("--model model --adapter out/adapter --rope-scaling {}"), with);
  fs::copy(run.workshop.path("out/adapter"), run.workshop.path("elsewhere"));
  EXPECT_NE(run.logits("--model model --adapter elsewhere"), with);
  EXPECT_EQ(run.logits("--model model --adapter elsewhere --rope-scaling " + kLinear.dump()), with);
  EXPECT_NE(run.expect("eval --model model --tokenizer bytes --adapter out/adapter --data "
                       "rows.jsonl")
                .err.find("the base has the rope_scaling of the adapter's run"),
            std::string::npos);
  run.workshop.expect_refused(
      "logits --ids ids.json --out x --model model --adapter out/adapter "
      "--adapter elsewhere",
      kUsage,
      "out/adapter and elsewhere: trained with different "
      "model.rope_scaling, so no base fits both (--rope-scaling chooses "
      "one)");
  run.workshop.expect_refused(
      "logits --ids ids.json --out x --model model --rope-scaling 4", kUsage,
      "--rope-scaling: expected a JSON object, such as {\"rope_type\": \"linear\", \"factor\": 4}, "
      "found 4");
}

TEST(RopeScaling, IsWrittenIntoAFullyTrainedModel) {
  const Lengthened run({{"/peft", nullptr}});
  run.expect("train run.json");
  const Json config = run.workshop.read_json("out/model/config.json");
  EXPECT_EQ(config["rope_parameters"]["factor"], 4.0);
  EXPECT_EQ(config["max_position_embeddings"], 512);
  EXPECT_EQ(run.logits("--model out/model --rope-scaling " + kLinear.dump()),
            run.logits("--model out/model"));
}

TEST(RopeScaling, OfAResumedRunIsTheSame) {
  const Lengthened run;
  run.expect("train run.json");
  run.workshop.write("run.json", run_json({{"/model/rope_scaling", nullptr},
                                           {"/training/max_steps", 2},
                                           {"/save/save_steps", 1}}));
  const Finished finished = run.workshop.run("train run.json --resume step-1");
  EXPECT_EQ(finished.exit_code, 2);
  EXPECT_NE(finished.err.find("rope_scaling"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace inlay
