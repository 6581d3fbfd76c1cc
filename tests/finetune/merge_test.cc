// SPDX-License-Identifier: Apache-2.0
#include "finetune/merge.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "finetune/adapters/peft_files.h"
#include "tests/support/error_text.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_adapters.h"

namespace inlay {
namespace {

class Merge : public ::testing::Test {
 protected:
  Merge() {
    write_tiny(temp_.file("base"), tiny_llama());
    LoadedModel loaded = make_tiny(tiny_llama());
    // Small factors: large ones make attention so sharp that f16 weights do change the logits.
    save_adapter(temp_.file("adapter"),
                 inject(loaded, random_factors({{"r", 2}, {"lora_alpha", 1}})), "base");
    options_.model = temp_.file("base");
    options_.adapter = temp_.file("adapter");
    options_.out = temp_.file("out");
  }
  std::string error() const {
    return error_text<Error>([&] { merge_adapter(options_); });
  }
  TempDirectory temp_;
  MergeOptions options_;
};

TEST_F(Merge, WritesTheTypeAskedForAndElseTheOneOfTheBase) {
  const struct {
    std::optional<DType> dtype;
    const char* stored;
    double limit;
  } types[] = {{{}, "F32", 1e-5},
               {DType::kF32, "F32", 1e-5},
               {DType::kF16, "F16", 2e-3},
               {DType::kBf16, "BF16", 2e-2}};
  options_.overwrite = true;
  for (const auto& t : types) {
    options_.dtype = t.dtype;
    const MergeReport report = merge_adapter(options_);
    EXPECT_EQ(report.limit, t.limit);
    EXPECT_LE(report.relative_difference, t.limit);
    const SafetensorsFile file(options_.out + "/model.safetensors");
    for (const TensorEntry& entry : file.entries()) {
      EXPECT_EQ(entry.stored_dtype, t.stored) << entry.name;
    }
  }
  options_.dtype.reset();
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    options_.model = temp_.file("half" + std::string(dtype_name(dtype)));
    write_tiny(options_.model, tiny_llama(), dtype);
    merge_adapter(options_);
    EXPECT_EQ(SafetensorsFile(options_.out + "/model.safetensors").entries()[0].dtype, dtype);
  }
}

TEST_F(Merge, TakesTheHeadOffAnEmbeddingItNoLongerEquals) {
  LoadedModel loaded = make_tiny(tiny_llama());
  save_adapter(temp_.file("adapter"),
               inject(loaded, random_factors({{"r", 2}, {"target_modules", {"embed_tokens"}}})),
               "base");
  merge_adapter(options_);
  const SafetensorsFile file(options_.out + "/model.safetensors");
  EXPECT_NE(file.find("lm_head.weight"), nullptr);
  const OrderedJson config = OrderedJson::parse(read_text(options_.out + "/config.json"));
  EXPECT_EQ(config["tie_word_embeddings"], false);
}

TEST_F(Merge, KeepsATiedHeadThatStillIsOne) {
  merge_adapter(options_);
  EXPECT_EQ(SafetensorsFile(options_.out + "/model.safetensors").find("lm_head.weight"), nullptr);
}

TEST_F(Merge, LeavesWhatIsThere) {
  make_directories(options_.out);
  write_file(options_.out + "/mine", std::string_view("x"));
  for (const bool overwrite : {false, true}) {
    options_.overwrite = overwrite;
    EXPECT_EQ(error(),
              options_.out + ": already there, and no merge wrote its mine; choose another --out");
    EXPECT_EQ(read_text(options_.out + "/mine"), "x");
  }
  for (const auto& [what, same] :
       {std::pair("model", options_.model), std::pair("adapter", options_.adapter)}) {
    options_.out = same;
    EXPECT_EQ(error(), str(same, ": this would be replaced, and it is or holds the ", what, ", ",
                           same, "; choose another --out"));
  }
}

TEST_F(Merge, WritesNothingThatIsNotTheAdaptedModel) {
  // A weight beyond what f16 holds, 65504, becomes infinite.
  const std::string path = options_.adapter + "/adapter_model.safetensors";
  std::string bytes = read_text(path);
  const float huge = 1e6F;
  std::memcpy(bytes.data() + bytes.size() - sizeof huge, &huge, sizeof huge);
  write_file(path, bytes);
  options_.dtype = DType::kF16;
  const std::string sentence = error();
  EXPECT_EQ(sentence.rfind(options_.out + ": the merged model's logits differ from those of base "
                                          "and adapter by ",
                           0),
            0U)
      << sentence;
  EXPECT_TRUE(sentence.ends_with("that rounding to f16 explains; nothing was written"));
  EXPECT_FALSE(exists(options_.out));
  EXPECT_EQ(file_system().list(temp_.path()), (std::vector<std::string>{"adapter", "base"}));
}

}  // namespace
}  // namespace inlay
