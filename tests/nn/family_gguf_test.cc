// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/io/gguf.h"
#include "tests/support/family_fixtures.h"
#include "tests/support/model_passes.h"
#include "tests/support/stored_tensors.h"
#include "tests/support/temp_directory.h"

/// GGUF files as llama.cpp's converter makes them of a family's folder: which keys they have and of
/// what each tensor is made stands in the fixture's gguf.json (tests/peers/gguf_of_family.py).
namespace inlay {
namespace {

GgufArray array_of(const nlohmann::json& key) {
  const std::string of = key["of"];
  if (of == "string") {
    return GgufArray::of(key["value"].get<std::vector<std::string>>());
  }
  if (of == "float32") {
    return GgufArray::of(key["value"].get<std::vector<float>>());
  }
  if (of == "bool") {
    const auto bytes = std::make_shared<std::vector<std::byte>>();
    for (const auto& value : key["value"]) {
      bytes->push_back(value.get<bool>() ? std::byte{1} : std::byte{0});
    }
    return {GgufValueType::kBool, static_cast<i64>(bytes->size()), std::span(*bytes), bytes};
  }
  return GgufArray::of(key["value"].get<std::vector<i32>>());
}

GgufValue described_value(const nlohmann::json& key) {
  const std::string type = key["type"];
  const nlohmann::json& value = key["value"];
  if (type == "array") {
    return array_of(key);
  }
  if (type == "string") {
    return value.get<std::string>();
  }
  if (type == "bool") {
    return value.get<bool>();
  }
  if (type == "float32") {
    return value.get<float>();
  }
  if (type == "int32") {
    return value.get<i32>();
  }
  EXPECT_EQ(type, "uint32");
  return value.get<u32>();
}

// The values of one of the file's tensors: rows of the folder's, some of them plus 1.
std::vector<float> values_of(const nlohmann::json& made, const StoredTensors& folder) {
  if (made.contains("values")) {
    return made["values"].get<std::vector<float>>();
  }
  std::vector<float> out;
  for (const nlohmann::json& part : made["parts"]) {
    const Tensor source = folder.floats(part["from"]);
    const std::vector<float> values = source.to_vector();
    const std::size_t width =
        source.shape().rank() > 1 ? static_cast<std::size_t>(source.dim(-1)) : 1;
    const float plus = part.value("plus", 0.0F);
    std::vector<std::size_t> rows(values.size() / width);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      rows[r] = r;
    }
    if (part.contains("rows")) {
      rows = part["rows"].get<std::vector<std::size_t>>();
    }
    for (const std::size_t row : rows) {
      for (std::size_t i = 0; i < width; ++i) {
        out.push_back(values.at(row * width + i) + plus);
      }
    }
  }
  return out;
}

void write_described(const nlohmann::json& description, const StoredTensors& folder,
                     const std::string& path) {
  GgufMetadata metadata;
  for (const auto& [name, key] : description["keys"].items()) {
    metadata.emplace_back(name, described_value(key));
  }
  std::vector<std::vector<float>> values;
  for (const auto& [name, made] : description["tensors"].items()) {
    values.push_back(values_of(made, folder));
  }
  std::vector<GgufTensorToWrite> tensors;
  for (const auto& [name, made] : description["tensors"].items()) {
    tensors.push_back({.name = name,
                       .shape = made["shape"].get<std::vector<i64>>(),
                       .bytes = std::as_bytes(std::span(values[tensors.size()]))});
  }
  write_gguf(path, metadata, tensors);
}

std::vector<std::string> described_fixtures() {
  std::vector<std::string> names;
  for (const std::string& name : family_fixtures()) {
    if (std::filesystem::exists(family_fixtures_root() + "/" + name + "/gguf.json")) {
      names.push_back(name);
    }
  }
  return names;
}

class FamilyGguf : public ::testing::TestWithParam<std::string> {};

TEST_P(FamilyGguf, GivesTheLogitsOfTheFolder) {
  const std::string folder = family_fixtures_root() + "/" + GetParam();
  const TempDirectory temp;
  write_described(read_json(folder + "/gguf.json"), StoredTensors(folder + "/model.safetensors"),
                  temp.file("model.gguf"));
  const auto ids = StoredTensors(folder + "/golden_forward.safetensors").rows("input_ids");
  const LoadedModel from_file = load_model_at(temp.file("model.gguf"));
  const LoadedModel from_folder = load_model_at(folder);
  EXPECT_EQ(from_file.tokenizer, std::nullopt);
  // The same weights, but for norms that the file keeps as 1 + w, rounded.
  EXPECT_LE(
      largest_difference(logits_of(*from_file.model, ids), logits_of(*from_folder.model, ids)),
      2e-5);
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(FamilyGguf);
INSTANTIATE_TEST_SUITE_P(, FamilyGguf, ::testing::ValuesIn(described_fixtures()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace inlay
