// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/io/gguf.h"
#include "core/io/shape_text.h"
#include "nn/models/families.h"
#include "nn/models/gguf_config.h"
#include "nn/models/rope_config.h"
#include "quant/checkpoint.h"
#include "quant/finite.h"
#include "quant/formats.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;

// A row of vectors of a file, which mostly has one, read on the host: a few thousand values.
void decode_file(MatrixFormat format, std::span<const std::byte> data, i64 row,
                 std::span<float> values) {
  const kernels::BlockSize block = kernels::block_size(format);
  kernels::MatrixRef ref;
  ref.format = format;
  ref.rows = 1;
  ref.cols = std::ssize(values);
  ref.data = data.data() + row * (ref.cols / block.values * block.bytes);
  kernels::decode_row(ref, 0, 0, ref.cols, values.data());
}

// "…q_layernorm.norms.3.weight" is row 3 of "…q_layernorm.weight".
struct StackedName {
  std::string whole;
  i64 row = -1;  // -1: the name is of no such vector
};

StackedName stacked_name(const std::string& name) {
  constexpr std::string_view kList = ".norms.";
  const std::size_t at = name.find(kList);
  if (at == std::string::npos) {
    return {name, -1};
  }
  const std::size_t number = at + kList.size(), end = name.find('.', number);
  return {name.substr(0, at) + name.substr(end), std::stoll(name.substr(number, end - number))};
}

// The row of a file that each row of Hugging Face's is, where that has q, k and v of one head after
// the other.
std::vector<i32> rows_by_head(i64 rows, i64 heads) {
  const i64 head_dim = rows / (3 * heads);
  std::vector<i32> map;
  for (i64 row = 0; row < rows; ++row) {
    const i64 head = row / (3 * head_dim), part = row / head_dim % 3;
    map.push_back(static_cast<i32>((part * heads + head) * head_dim + row % head_dim));
  }
  return map;
}

class GgufCheckpoint final : public Checkpoint {
 public:
  explicit GgufCheckpoint(const std::string& path)
      : file_(GgufFile::with_all_parts(path)),
        config_(gguf_config(file_)),
        family_(family_of(config_)) {}

  const HfConfig& config() const override { return config_; }
  const std::string& path() const override { return file_.path(); }
  std::vector<std::string> files() const override { return file_.parts(); }

  // Norms are f32 in these files whatever the matrices are; a norm rounded to bf16 loses nothing
  // that the bf16 model it came from had, but which it came from is not known.
  DType float_type() const override { return DType::kF32; }

  bool has(const std::string& tensor) const override { return find_tensor(tensor) != nullptr; }

  StoredWeight matrix(const std::string& name, i64 out, i64 in, WeightLayout /*layout*/,
                      i64 rope_head_dim) override {
    const GgufTensor& tensor = find(name + ".weight");
    if (const GgufTensor* lower = second_half(tensor)) {
      return {joined(tensor, *lower, out, in), WeightLayout::kOutIn};
    }
    check(tensor, {out, in});  // GGUF keeps every weight [out, in], GPT-2's too
    FrozenMatrix matrix = lying(tensor, out, in);
    if (const std::vector<i32> rows = row_map(name, out, rope_head_dim); !rows.empty()) {
      matrix = matrix.with_row_map(rows);
    }
    return {matrix, WeightLayout::kOutIn};
  }

  bool has_stack(const std::string& name) const override { return has(name); }

  StoredStack stack(const std::string& name, i64 experts, i64 out, i64 in,
                    WeightLayout /*layout*/) override {
    const GgufTensor& tensor = find(name);
    check(tensor, {experts, out, in});
    const MatrixFormat format = format_of(tensor);
    const kernels::BlockSize block = kernels::block_size(format);
    const i64 row_bytes = in / block.values * block.bytes;
    StoredStack stack;
    for (i64 e = 0; e < experts; ++e) {
      MatrixParts parts;
      parts.format = format;
      parts.rows = out;
      parts.cols = in;
      parts.row_bytes = row_bytes;
      parts.data = Tensor::borrow(tensor.data.subspan(static_cast<std::size_t>(e * out * row_bytes),
                                                      static_cast<std::size_t>(out * row_bytes)),
                                  {out * row_bytes}, DType::kU8, tensor.file);
      stack.matrices.emplace_back(std::move(parts));
    }
    return stack;
  }

  Tensor table(const std::string& name, const std::vector<i64>& shape) override {
    const GgufTensor& tensor = find(name);
    check(tensor, shape);
    i64 count = 1;
    for (const i64 size : shape) {
      count *= size;
    }
    std::vector<float> values(static_cast<std::size_t>(count));
    decode_file(format_of(tensor), tensor.data, 0, values);
    const MemoryScope scope(MemoryClass::kWeights);
    return Tensor::from(values, Shape{std::span<const i64>(shape)});
  }

  Tensor vector(const std::string& name, i64 size, i64 rope_head_dim) override {
    const StackedName stacked = stacked_name(name);
    const GgufTensor& tensor = find(stacked.whole);
    if (stacked.row < 0) {
      check(tensor, {size});
    } else {
      check(tensor, {std::max(stacked.row + 1, tensor.shape[0]), size});
    }
    std::vector<float> values(static_cast<std::size_t>(size));
    decode_file(format_of(tensor), tensor.data, std::max<i64>(0, stacked.row), values);
    if (const std::vector<i32> rows = row_map(name, size, rope_head_dim); !rows.empty()) {
      const std::vector<float> stored = values;
      for (i64 i = 0; i < size; ++i) {
        values[i] = stored[rows[i]];
      }
    }
    if (family_.gguf->adds_one_to_norms && name.ends_with("norm.weight")) {
      for (float& value : values) {
        value -= 1.0F;
      }
    }
    const MemoryScope scope(MemoryClass::kWeights);
    return Tensor::from(values, {size});
  }

  bool same_values(const std::string& a, const std::string& b) const override {
    const GgufTensor* one = find_tensor(a);
    const GgufTensor* other = find_tensor(b);
    return one != nullptr && other != nullptr && one->type == other->type &&
           one->shape == other->shape && std::ranges::equal(one->data, other->data);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const GgufTensor& t : file_.tensors()) {
      names.push_back(t.name);
    }
    return names;
  }

  std::vector<std::string> unused() const override {
    std::vector<std::string> names;
    for (const GgufTensor& t : file_.tensors()) {
      if (!used_.contains(t.name) && !read_with_metadata(t.name)) {
        names.push_back(t.name);
      }
    }
    return names;
  }

  void require_finite() const override {
    for (const std::string& name : used_) {
      const GgufTensor& tensor = file_.tensor(name);
      inlay::require_finite(tensor.file->path(), name, format_of(tensor), tensor.data);
    }
  }

 private:
  // Booked as weights through a borrowed view of the mapping.
  FrozenMatrix lying(const GgufTensor& tensor, i64 rows, i64 cols) const {
    MatrixParts parts;
    parts.format = format_of(tensor);
    const kernels::BlockSize block = kernels::block_size(parts.format);
    parts.rows = rows;
    parts.cols = cols;
    parts.row_bytes = cols / block.values * block.bytes;
    parts.data = Tensor::borrow(tensor.data, {static_cast<i64>(tensor.data.size())}, DType::kU8,
                                tensor.file);
    return FrozenMatrix(std::move(parts));
  }

  // The tensor with the lower rows of a matrix whose upper ones are in `upper`, or null.
  const GgufTensor* second_half(const GgufTensor& upper) {
    for (const auto& [first, second] : family_.gguf->second_halves) {
      if (const std::size_t at = upper.name.find(str(".", first, ".")); at != std::string::npos) {
        const std::string name = str(upper.name.substr(0, at), ".", second, ".weight");
        used_.insert(name);
        return &file_.tensor(name);
      }
    }
    return nullptr;
  }

  // Both halves in one piece of memory; as f32 where they are of different types.
  FrozenMatrix joined(const GgufTensor& upper, const GgufTensor& lower, i64 rows, i64 cols) const {
    check(upper, {rows / 2, cols});
    check(lower, {rows / 2, cols});
    const MemoryScope scope(MemoryClass::kWeights);
    const FrozenMatrix halves[] = {lying(upper, rows / 2, cols), lying(lower, rows / 2, cols)};
    if (halves[0].format() != halves[1].format()) {
      const Tensor whole = Tensor::empty({rows, cols});
      whole.slice(0, 0, rows / 2).copy_from(halves[0].decode(0, rows / 2));
      whole.slice(0, rows / 2, rows).copy_from(halves[1].decode(0, rows / 2));
      return FrozenMatrix(whole);
    }
    MatrixParts parts = halves[0].parts();
    const auto bytes = static_cast<i64>(upper.data.size());
    const Tensor whole = Tensor::empty({2 * bytes}, DType::kU8);
    whole.slice(0, 0, bytes).copy_from(parts.data);
    whole.slice(0, bytes, 2 * bytes).copy_from(halves[1].parts().data);
    parts.rows = rows;
    parts.data = whole;
    return FrozenMatrix(std::move(parts));
  }

  const GgufTensor* find_tensor(const std::string& hf_name) const {
    const auto name = gguf_name(family_, hf_name);
    return name ? file_.find_tensor(*name) : nullptr;
  }

  // Divisors of frequencies that have become settings of the config: longrope's, Gemma 4's.
  bool read_with_metadata(const std::string& name) const {
    const std::optional<HfConfig> rope = config_.object("rope_parameters");
    const std::optional<HfConfig> full = rope ? rope->object("full_attention") : rope;
    const bool proportional = full && full->text("rope_type", "") == "proportional";
    return name.starts_with("rope_factors_") || (proportional && name == kGgufRopeDivisors);
  }

  // Which row of the file each row of the weight or bias is; empty where they lie alike.
  std::vector<i32> row_map(std::string_view name, i64 rows, i64 rope_head_dim) const {
    if (rope_head_dim > 0 && family_.gguf->permutes_rope_rows) {
      return unpermuted_rope_rows(rows, rope_head_dim);
    }
    const std::string_view by_head = family_.gguf->qkv_by_head;
    if (!by_head.empty() && (name.ends_with(by_head) || name.ends_with(str(by_head, ".bias")))) {
      return rows_by_head(rows, config_.integer("num_attention_heads"));
    }
    return {};
  }

  const GgufTensor& find(const std::string& hf_name) {
    const auto name = gguf_name(family_, hf_name);
    INLAY_ASSERT(name.has_value());
    used_.insert(*name);
    return file_.tensor(*name);
  }

  void check(const GgufTensor& tensor, std::vector<i64> expected) const {
    if (tensor.shape != expected) {
      throw DataError(str(tensor.file->path(), ": \"", tensor.name, "\": expected ",
                          shape_text(expected), ", found ", shape_text(tensor.shape)));
    }
  }

  MatrixFormat format_of(const GgufTensor& tensor) const {
    if (const auto format = matrix_format_of_gguf(tensor.type->id)) {
      return *format;
    }
    std::string known;
    for (const kernels::MatrixFormatRow& row : kernels::kMatrixFormatRows) {
      if (row.in_gguf()) {
        known += str(known.empty() ? "" : ", ", row.name);
      }
    }
    throw DataError(str(tensor.file->path(), ": \"", tensor.name, "\": type ", tensor.type->name,
                        " cannot be read (", known, " can)"));
  }

  GgufFile file_;
  HfConfig config_;
  const Family& family_;
  std::set<std::string> used_;
};

}  // namespace

std::unique_ptr<Checkpoint> open_gguf_checkpoint(const std::string& path) {
  return std::make_unique<GgufCheckpoint>(path);
}

}  // namespace inlay
