// SPDX-License-Identifier: Apache-2.0
#include "quant/bnb_checkpoint.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/checked.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/memory/memory.h"
#include "quant/torch_dtype.h"

namespace inlay {
namespace {

constexpr std::string_view kStateKey = ".quant_state.bitsandbytes__";

std::string state_name(const std::string& weight, FourBitType type) {
  return str(weight, kStateKey, choice_name(type));
}

[[noreturn]] void fail(const TensorEntry& entry, const std::string& what) {
  throw DataError(
      str(printable(entry.file->path(), 300), ": \"", printable(entry.name, 200), "\": ", what));
}

/// One field of the quant state, with its JSON type checked.
class State {
 public:
  explicit State(const TensorEntry& entry)
      : entry_(entry),
        json_(parse_json({reinterpret_cast<const char*>(entry.data.data()), entry.data.size()},
                         str(entry.file->path(), ": \"", printable(entry.name, 200), "\""),
                         {.max_depth = 4, .max_values = 1000})) {
    if (!json_.is_object()) {
      fail(entry_, "expected a JSON object");
    }
  }

  i64 whole_number(const char* key) const {
    const nlohmann::json& value = field(key);
    if (!value.is_number_unsigned()) {
      wrong(key, "a whole number");
    }
    return CheckedSize(value.get<u64>(), where(key)).value();
  }
  std::string text(const char* key) const {
    const nlohmann::json& value = field(key);
    if (!value.is_string()) {
      wrong(key, "a string");
    }
    return value.get<std::string>();
  }
  float number(const char* key) const {
    const nlohmann::json& value = field(key);
    if (!value.is_number() || !std::isfinite(value.get<float>())) {
      wrong(key, "a finite number");
    }
    return value.get<float>();
  }
  std::vector<i64> shape() const {
    const nlohmann::json& value = field("shape");
    const bool whole = value.is_array() && value.size() == 2 && value[0].is_number_unsigned() &&
                       value[1].is_number_unsigned();
    if (!whole) {
      wrong("shape", "[out, in]");
    }
    return {CheckedSize(value[0].get<u64>(), where("shape")).value(),
            CheckedSize(value[1].get<u64>(), where("shape")).value()};
  }
  bool has(const char* key) const { return json_.contains(key); }
  [[noreturn]] void wrong(const char* key, std::string_view expected) const {
    fail(entry_, str("/", key, ": expected ", expected, ", found ",
                     printable(json_[key].dump(-1, ' ', true), 60)));
  }

 private:
  std::string where(const char* key) const {
    return str(printable(entry_.file->path(), 300), ": \"", printable(entry_.name, 200), "\": /",
               key);
  }
  const nlohmann::json& field(const char* key) const {
    if (!json_.contains(key)) {
      fail(entry_, str("no \"", key, "\""));
    }
    return json_[key];
  }

  const TensorEntry& entry_;
  nlohmann::json json_;
};

/// The entry as a tensor of `count` elements, in place if it is aligned; floats must be finite.
Tensor take(const TensorEntry& entry, DType dtype, i64 count, std::string_view what) {
  if (entry.dtype != dtype ||
      static_cast<i64>(entry.data.size()) != CheckedSize(count, what).value() * size_of(dtype)) {
    fail(entry, str("expected ", count, " ", dtype_name(dtype), " ", what, ", found ",
                    entry.data.size(), " bytes of ", entry.stored_dtype));
  }
  const auto address = reinterpret_cast<std::uintptr_t>(entry.data.data());
  Tensor tensor;
  if (address % static_cast<std::uintptr_t>(size_of(dtype)) == 0) {
    tensor = Tensor::borrow(entry.data, {count}, dtype, entry.file);
  } else {
    const MemoryScope scope(MemoryClass::kWeights);
    tensor = Tensor::from_bytes(entry.data, {count}, dtype);
  }
  if (dtype == DType::kF32 && count_not_finite(tensor) > 0) {
    fail(entry, "a value is not finite");
  }
  return tensor;
}

const TensorEntry& state_entry(const SafetensorsModel& model, const std::string& weight) {
  const TensorEntry* nf4 = model.find(state_name(weight, FourBitType::kNf4));
  const TensorEntry* fp4 = model.find(state_name(weight, FourBitType::kFp4));
  if (nf4 != nullptr && fp4 != nullptr) {
    fail(*fp4, "this weight has a quant state of nf4 too");
  }
  return fp4 != nullptr ? *fp4 : model.at(state_name(weight, FourBitType::kNf4));
}

void read_state(const State& state, const TensorEntry& entry, FourBitMatrix& matrix) {
  const std::string type = state.text("quant_type");
  const std::optional<FourBitType> known_type = find_choice<FourBitType>(type);
  if (!entry.name.ends_with(str(kStateKey, type)) || !known_type) {
    state.wrong("quant_type", "that of the tensor's name");
  }
  matrix.type = *known_type;
  matrix.block_size = state.whole_number("blocksize");
  if (!std::has_single_bit(static_cast<u64>(matrix.block_size)) || matrix.block_size < 32 ||
      matrix.block_size > 4096) {
    state.wrong("blocksize", "a power of two from 32 to 4096");
  }
  const std::optional<DType> dtype = torch_dtype(state.text("dtype"));
  if (!dtype) {
    state.wrong("dtype", "float32, bfloat16 or float16");
  }
  matrix.dtype = *dtype;
  const std::vector<i64> shape = state.shape();
  matrix.rows = shape[0];
  matrix.cols = shape[1];
}

void read_nested(const State& state, const SafetensorsModel& model, const std::string& weight,
                 FourBitMatrix& matrix) {
  matrix.nested_block_size = state.whole_number("nested_blocksize");
  if (matrix.nested_block_size == 0) {
    state.wrong("nested_blocksize", "a number from 1");
  }
  if (state.text("nested_dtype") != "float32") {
    state.wrong("nested_dtype", "float32");
  }
  matrix.offset = state.number("nested_offset");
  const i64 groups = (matrix.blocks() - 1) / matrix.nested_block_size + 1;
  matrix.absmax = take(model.at(weight + ".absmax"), DType::kU8, matrix.blocks(), "scale codes");
  matrix.nested_absmax =
      take(model.at(weight + ".nested_absmax"), DType::kF32, groups, "scales of scales");
  matrix.nested_levels = take(model.at(weight + ".nested_quant_map"), DType::kF32, 256, "levels");
}

/// The bytes of a tensor, copied out as they are written.
ByteSource bytes_of(const Tensor& tensor) {
  return ByteSource(
      [tensor](i64 offset, std::span<std::byte> out) { tensor.copy_bytes_out(out, offset); });
}

/// As Python's json.dumps writes it, which is what bitsandbytes writes.
std::string state_text(const FourBitMatrix& matrix) {
  std::string text =
      str("{\"quant_type\": \"", choice_name(matrix.type), "\", \"blocksize\": ", matrix.block_size,
          ", \"dtype\": \"", torch_name(matrix.dtype), "\", \"shape\": [", matrix.rows, ", ",
          matrix.cols, "]");
  if (matrix.double_quant()) {
    text += str(", \"nested_blocksize\": ", matrix.nested_block_size,
                ", \"nested_dtype\": \"float32\", \"nested_offset\": ",
                nlohmann::json(static_cast<double>(matrix.offset)).dump());
  }
  return text + "}";
}

}  // namespace

bool is_four_bit(const SafetensorsModel& model, const std::string& weight) {
  return model.find(state_name(weight, FourBitType::kNf4)) != nullptr ||
         model.find(state_name(weight, FourBitType::kFp4)) != nullptr;
}

FourBitMatrix read_four_bit(const SafetensorsModel& model, const std::string& weight) {
  const TensorEntry& entry = state_entry(model, weight);
  const State state(entry);
  FourBitMatrix matrix;
  read_state(state, entry, matrix);

  // Whatever dtype the codes are stored as, their bytes count.
  const TensorEntry& codes = model.at(weight);
  const std::string what = str(printable(codes.file->path(), 300), ": \"", printable(weight, 200),
                               "\": the size of its shape");
  const i64 count = (CheckedSize(matrix.rows, what) * matrix.cols).value();
  const i64 bytes = (CheckedSize(count, what) + 1).value() / 2;
  if (count == 0 || static_cast<i64>(codes.data.size()) < bytes) {
    fail(codes, str(codes.data.size(), " bytes of codes for ", matrix.rows, " x ", matrix.cols,
                    " weights of half a byte"));
  }
  matrix.codes =
      Tensor::borrow(codes.data, {static_cast<i64>(codes.data.size())}, DType::kU8, codes.file);
  matrix.levels = take(model.at(weight + ".quant_map"), DType::kF32, 16, "levels");
  if (state.has("nested_offset") || model.find(weight + ".nested_absmax") != nullptr) {
    read_nested(state, model, weight, matrix);
  } else {
    matrix.absmax = take(model.at(weight + ".absmax"), DType::kF32, matrix.blocks(), "scales");
  }
  return matrix;
}

std::vector<TensorToWrite> four_bit_tensors(const std::string& weight,
                                            const FourBitMatrix& matrix) {
  const auto f32 = [&](const char* suffix, const Tensor& tensor) {
    return TensorToWrite{weight + suffix, DType::kF32, {tensor.numel()}, bytes_of(tensor)};
  };
  const std::string state = state_text(matrix);
  const ByteSource::Fill fill_state = [state](i64 offset, std::span<std::byte> out) {
    std::memcpy(out.data(), state.data() + offset, out.size());
  };
  std::vector<TensorToWrite> tensors = {
      {weight, DType::kU8, {matrix.codes.numel(), 1}, bytes_of(matrix.codes)},
      {weight + ".absmax", matrix.absmax.dtype(), {matrix.absmax.numel()}, bytes_of(matrix.absmax)},
      f32(".quant_map", matrix.levels),
      {state_name(weight, matrix.type), DType::kU8, {static_cast<i64>(state.size())}, fill_state}};
  if (matrix.double_quant()) {
    tensors.push_back(f32(".nested_absmax", matrix.nested_absmax));
    tensors.push_back(f32(".nested_quant_map", matrix.nested_levels));
  }
  return tensors;
}

}  // namespace inlay
