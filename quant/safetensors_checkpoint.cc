// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/planning.h"
#include "quant/bnb_checkpoint.h"
#include "quant/checkpoint.h"

namespace inlay {
namespace {

constexpr i64 kMostConfigBytes =
    16 << 20;  // config.json is a few kilobytes; some carry long label tables

// Mapped where the alignment allows it, else copied: old files start their data at any byte.
Tensor tensor_of(const TensorEntry& entry) {
  const Shape shape{std::span<const i64>(entry.shape)};
  const i64 size = size_of(*entry.dtype);
  if (reinterpret_cast<std::uintptr_t>(entry.data.data()) % size == 0) {
    return Tensor::borrow(entry.data, shape, *entry.dtype, entry.file);
  }
  const MemoryScope scope(MemoryClass::kWeights);
  const Tensor copy = Tensor::empty(shape, *entry.dtype);
  if (!planning()) {
    std::memcpy(const_cast<void*>(copy.raw()), entry.data.data(), entry.data.size());
  }
  return copy;
}

HfConfig read_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  if (!is_file(path)) {
    throw DataError(str(folder, ": not a model folder: it has no config.json"));
  }
  return HfConfig(parse_json(file_system().read(path, kMostConfigBytes), path), path);
}

class SafetensorsCheckpoint final : public Checkpoint {
 public:
  explicit SafetensorsCheckpoint(const std::string& folder)
      : folder_(folder), config_(read_config(folder)), model_(folder) {}

  const HfConfig& config() const override { return config_; }
  const std::string& path() const override { return folder_; }
  std::vector<std::string> files() const override {
    std::vector<std::string> out;
    for (const SafetensorsFile& file : model_.files()) {
      out.push_back(file.path());
    }
    return out;
  }

  DType float_type() const override {
    const std::optional<DType> first =
        model_.entries().empty() ? std::nullopt : model_.entries()[0]->dtype;
    const bool alike = std::ranges::all_of(
        model_.entries(), [&](const TensorEntry* entry) { return entry->dtype == first; });
    return alike && (first == DType::kBf16 || first == DType::kF16) ? *first : DType::kF32;
  }

  std::vector<std::string> notices() const override { return model_.notices(); }

  bool has(const std::string& tensor) const override { return find(tensor) != nullptr; }

  StoredWeight matrix(const std::string& name, i64 out, i64 in, WeightLayout layout,
                      i64 /*rope_head_dim*/) override {
    const TensorEntry& entry = require(name + ".weight");
    if (auto packed = four_bit(entry.name, out, in)) {
      return {std::move(*packed), WeightLayout::kOutIn};
    }
    const bool out_in = layout == WeightLayout::kOutIn;
    check(entry, out_in ? std::vector<i64>{out, in} : std::vector<i64>{in, out});
    return {FrozenMatrix(tensor_of(entry)), layout};
  }

  Tensor vector(const std::string& name, i64 size, i64 /*rope_head_dim*/) override {
    const TensorEntry& entry = require(name);
    check(entry, {size});
    const Tensor stored = tensor_of(entry);
    const MemoryScope scope(MemoryClass::kWeights);
    return stored.dtype() == DType::kF32 ? stored.clone() : stored.to(DType::kF32);
  }

  std::vector<std::string> unused() const override {
    std::vector<std::string> names;
    for (const TensorEntry* entry : model_.entries()) {
      if (!used_.contains(entry->name) && !never_matters(entry->name)) {
        names.push_back(entry->name);
      }
    }
    return names;
  }

 private:
  // Constant tables that older versions saved, and the copy of a tied head.
  bool never_matters(const std::string& name) const {
    for (const char* ending : {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"}) {
      if (name.ends_with(ending)) {
        return true;
      }
    }
    return name == "lm_head.weight";
  }

  // Checkpoints of the bare transformer leave out the first part of every name.
  const TensorEntry* find(const std::string& name) const {
    if (const TensorEntry* entry = model_.find(name)) {
      return entry;
    }
    for (const std::string_view prefix : {"transformer.", "model."}) {
      if (name.starts_with(prefix)) {
        return model_.find(std::string_view(name).substr(prefix.size()));
      }
    }
    return nullptr;
  }

  const TensorEntry& require(const std::string& name) {
    const TensorEntry* found = find(name);
    const TensorEntry& entry = model_.at(found != nullptr ? found->name : name);
    used_.insert(entry.name);
    return entry;
  }

  void check(const TensorEntry& entry, const std::vector<i64>& expected) const {
    const bool floats =
        entry.dtype == DType::kF32 || entry.dtype == DType::kBf16 || entry.dtype == DType::kF16;
    if (entry.shape != expected || !floats) {
      throw DataError(
          str(entry.file->path(), ": \"", printable(entry.name), "\": expected ",
              Shape(std::span<const i64>(expected)).to_string(), " f32, bf16 or f16, found ",
              Shape(std::span<const i64>(entry.shape)).to_string(), " ",
              entry.dtype ? std::string(dtype_name(*entry.dtype)) : printable(entry.stored_dtype)));
    }
  }

  // A weight that bitsandbytes stored in 4 bits: its parts stand beside it under longer names.
  std::optional<FrozenMatrix> four_bit(const std::string& weight, i64 out, i64 in) {
    if (!is_four_bit(model_, weight)) {
      return {};
    }
    for (const TensorEntry* entry : model_.entries()) {
      if (entry->name.starts_with(weight + ".")) {
        used_.insert(entry->name);
      }
    }
    const FourBitMatrix matrix = read_four_bit(model_, weight);
    if (matrix.rows != out || matrix.cols != in) {
      throw DataError(str(folder_, ": \"", printable(weight), "\": expected ",
                          Shape{out, in}.to_string(), " in 4 bits, found ",
                          Shape{matrix.rows, matrix.cols}.to_string()));
    }
    return matrix.frozen();
  }

  std::string folder_;
  HfConfig config_;
  SafetensorsModel model_;
  std::set<std::string> used_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_safetensors_checkpoint(const std::string& folder) {
  return std::make_unique<SafetensorsCheckpoint>(folder);
}

}  // namespace inlay
