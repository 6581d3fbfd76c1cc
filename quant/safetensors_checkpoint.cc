// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/io/shape_text.h"
#include "core/tensor/dense_format.h"
#include "nn/models/families.h"
#include "quant/bnb_checkpoint.h"
#include "quant/checkpoint.h"
#include "quant/finite.h"
#include "quant/foreign_formats.h"
#include "quant/mxfp4.h"

namespace inlay {
namespace {

constexpr i64 kMaxModelConfigBytes =
    16 << 20;  // config.json is a few kilobytes; some carry long label tables

// Mapped where the alignment allows it, else copied: old files start their data at any byte.
Tensor tensor_of(const TensorEntry& entry) {
  const Shape shape{std::span<const i64>(entry.shape)};
  const i64 size = size_of(*entry.dtype);
  if (reinterpret_cast<std::uintptr_t>(entry.data.data()) % size == 0) {
    return Tensor::borrow(entry.data, shape, *entry.dtype, entry.file);
  }
  const MemoryScope scope(MemoryClass::kWeights);
  return Tensor::from_bytes(entry.data, shape, *entry.dtype);
}

// " (it has a.gguf: name that)", for folders that hold such files alone.
std::string gguf_instead(const std::string& folder) {
  for (const std::string& name : file_system().list(folder)) {
    if (name.ends_with(".gguf")) {
      return str(" (it has ", printable(name), ": give the path of that file)");
    }
  }
  return "";
}

HfConfig read_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  if (!is_file(path)) {
    throw DataError(
        str(folder, ": not a model folder: it has no config.json", gguf_instead(folder)));
  }
  return HfConfig(
      parse_json(file_system().read(path, kMaxModelConfigBytes), path, {.python_numbers = true}),
      path);
}

bool is_float(const TensorEntry& entry) {
  return entry.dtype && dense_format(*entry.dtype);
}

// Values of two float tensors of one shape, whatever their types, in the file.
bool equal_values(const TensorEntry& a, const TensorEntry& b) {
  const auto row = [](const TensorEntry& entry) {
    kernels::MatrixRef ref;
    ref.format = dense_format(*entry.dtype).value();
    ref.rows = 1;
    ref.cols = static_cast<i64>(entry.data.size()) / size_of(*entry.dtype);
    ref.data = entry.data.data();
    return ref;
  };
  constexpr i64 kPiece = 4096;
  std::array<float, kPiece> x;
  std::array<float, kPiece> y;
  const i64 total = row(a).cols;
  for (i64 begin = 0; begin < total; begin += kPiece) {
    const i64 count = std::min(kPiece, total - begin);
    kernels::decode_row(row(a), 0, begin, count, x.data());
    kernels::decode_row(row(b), 0, begin, count, y.data());
    if (!std::equal(x.begin(), x.begin() + count, y.begin())) {
      return false;
    }
  }
  return true;
}

class SafetensorsCheckpoint final : public Checkpoint {
 public:
  explicit SafetensorsCheckpoint(const std::string& folder)
      : folder_(folder),
        config_(read_config(folder)),
        family_(find_family(config_.text("model_type", ""))),
        model_(folder) {
    if (std::optional<std::string> notice = check_quantization(folder, config_, model_)) {
      notices_.push_back(std::move(*notice));
    }
  }

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
    std::set<DType> types;
    for (const TensorEntry* entry : model_.entries()) {
      // Bytes are what 4-bit weights are made of: they hold no more than any float type.
      if (entry->dtype != DType::kU8) {
        types.insert(entry->dtype.value_or(DType::kF32));
      }
    }
    const bool alike = types.size() == 1 && *types.begin() != DType::kF32;
    return alike && dense_format(*types.begin()) ? *types.begin() : DType::kF32;
  }

  std::vector<std::string> notices() const override {
    std::vector<std::string> notices = notices_;
    const i64 others = std::ranges::count_if(
        model_.entries(), [&](const TensorEntry* entry) { return of_other_part(entry->name); });
    if (others > 0) {
      notices.push_back(str(folder_, ": ", family_->article, " of several parts: ", others,
                            " tensors of the parts for images, sounds and the like are left out"));
    }
    if (tied() && used_.contains(head_name()) && find_named(table_name()) != nullptr) {
      notices.push_back(str(config_.file(), ": tie_word_embeddings is true, but \"", head_name(),
                            "\" differs from the embedding: the head of the file is used, as in "
                            "Transformers"));
    }
    return notices;
  }

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

  bool has_stack(const std::string& name) const override {
    return has(name) || has(name + "_blocks");
  }

  StoredStack stack(const std::string& name, i64 experts, i64 out, i64 in,
                    WeightLayout layout) override {
    if (!has(name) && has(name + "_blocks")) {
      return {mxfp4_stack(name, experts, out, in), WeightLayout::kOutIn};
    }
    const TensorEntry& entry = require(name);
    const Shape shape = layout == WeightLayout::kOutIn ? Shape{out, in} : Shape{in, out};
    check(entry, {experts, shape[0], shape[1]});
    const Tensor all = tensor_of(entry);
    StoredStack stack = {{}, layout};
    for (i64 e = 0; e < experts; ++e) {
      stack.matrices.emplace_back(all.slice(0, e, e + 1).view(shape));
    }
    return stack;
  }

  Tensor vector(const std::string& name, i64 size, i64 /*rope_head_dim*/) override {
    return table(name, {size});
  }

  Tensor table(const std::string& name, const std::vector<i64>& shape) override {
    const TensorEntry& entry = require(name);
    check(entry, shape);
    const Tensor stored = tensor_of(entry);
    const MemoryScope scope(MemoryClass::kWeights);
    return stored.dtype() == DType::kF32 ? stored.clone() : stored.to(DType::kF32);
  }

  bool same_values(const std::string& a, const std::string& b) const override {
    const TensorEntry* one = find(a);
    const TensorEntry* other = find(b);
    if (one == nullptr || other == nullptr || one->shape != other->shape) {
      return false;
    }
    if (one->stored_dtype == other->stored_dtype) {
      return std::ranges::equal(one->data, other->data);
    }
    return is_float(*one) && is_float(*other) && equal_values(*one, *other);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const TensorEntry* entry : model_.entries()) {
      names.push_back(entry->name);
    }
    return names;
  }

  // What a weight of 4 bits is made of was looked at when it was read.
  void require_finite() const override {
    for (const std::string& name : used_) {
      const TensorEntry& entry = model_.at(name);
      if (is_float(entry)) {
        inlay::require_finite(entry.file->path(), name, dense_format(*entry.dtype).value(),
                              entry.data);
      }
    }
  }

  std::vector<std::string> unused() const override {
    std::vector<std::string> names;
    for (const TensorEntry* entry : model_.entries()) {
      if (!used_.contains(entry->name) && !never_matters(entry->name) &&
          !of_other_part(entry->name)) {
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
    const std::vector<std::string> others = alternatives(head_name());
    return name == head_name() || std::ranges::find(others, name) != others.end();
  }

  bool of_other_part(const std::string& name) const {
    return family_ != nullptr && is_of_other_part(*family_, name);
  }

  // What else a checkpoint may call a tensor.
  std::vector<std::string> alternatives(const std::string& name) const {
    if (family_ == nullptr) {
      return {};
    }
    std::vector<std::string> names = other_names(*family_, name);
    // Those of the bare transformer leave out the first part of every name.
    if (name.starts_with(family_->base_prefix)) {
      names.push_back(name.substr(family_->base_prefix.size()));
    }
    return names;
  }

  // Of a family that is not known, no weight is asked for in the end.
  bool tied() const { return family_ != nullptr && says_tied(config_, *family_); }
  DecoderNames parts() const { return family_ != nullptr ? family_->names : DecoderNames(); }
  std::string table_name() const { return parts().embedding + ".weight"; }
  std::string head_name() const { return parts().head + ".weight"; }

  const TensorEntry* find(const std::string& name) const {
    if (const TensorEntry* entry = find_named(name)) {
      return entry;
    }
    // Of two tied matrices a file may hold either.
    return name == table_name() && tied() ? find_named(head_name()) : nullptr;
  }

  const TensorEntry* find_named(const std::string& name) const {
    if (const TensorEntry* entry = model_.find(name)) {
      return entry;
    }
    for (const std::string& other : alternatives(name)) {
      if (const TensorEntry* entry = model_.find(other)) {
        return entry;
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
    if (entry.shape != expected || !is_float(entry)) {
      throw DataError(
          str(entry.file->path(), ": \"", printable(entry.name), "\": expected ",
              shape_text(expected), " f32, bf16 or f16, found ", shape_text(entry.shape), " ",
              entry.dtype ? std::string(dtype_name(*entry.dtype)) : printable(entry.stored_dtype)));
    }
  }

  std::vector<FrozenMatrix> mxfp4_stack(const std::string& name, i64 experts, i64 out, i64 in) {
    const i64 blocks = in / kMxfp4Block;
    const auto bytes = [&](const std::string& part, const std::vector<i64>& shape) {
      const TensorEntry& entry = require(name + part);
      if (entry.shape != shape || entry.dtype != DType::kU8) {
        throw DataError(str(entry.file->path(), ": \"", printable(entry.name), "\": expected ",
                            shape_text(shape), " u8, found ", shape_text(entry.shape), " ",
                            printable(entry.stored_dtype)));
      }
      return tensor_of(entry);
    };
    const Tensor codes = bytes("_blocks", {experts, out, blocks, kMxfp4Block / 2});
    const Tensor scales = bytes("_scales", {experts, out, blocks});
    std::vector<FrozenMatrix> matrices;
    for (i64 e = 0; e < experts; ++e) {
      matrices.push_back(
          mxfp4_matrix(codes.slice(0, e, e + 1), scales.slice(0, e, e + 1), out, in));
    }
    return matrices;
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
  const Family* family_;
  SafetensorsModel model_;
  std::vector<std::string> notices_;
  std::set<std::string> used_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_safetensors_checkpoint(const std::string& folder) {
  return std::make_unique<SafetensorsCheckpoint>(folder);
}

}  // namespace inlay
