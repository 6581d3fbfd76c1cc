// SPDX-License-Identifier: Apache-2.0
#include "core/io/gguf_types.h"

#include <algorithm>
#include <array>
#include <bit>

#include "core/checked.h"
#include "core/error.h"
#include "core/kernels/matrix_format.h"

namespace inlay {
namespace {

static_assert(std::variant_size_v<GgufValue> == 13);
static_assert(std::is_same_v<std::variant_alternative_t<8, GgufValue>, std::string>);
static_assert(std::is_same_v<std::variant_alternative_t<12, GgufValue>, double>);

struct ValueType {
  std::string_view name;
  i64 bytes;
};

// In the order of the enumerators.
constexpr std::array<ValueType, 13> kValueTypes = {{{"u8", 1},
                                                    {"i8", 1},
                                                    {"u16", 2},
                                                    {"i16", 2},
                                                    {"u32", 4},
                                                    {"i32", 4},
                                                    {"f32", 4},
                                                    {"bool", 1},
                                                    {"string", 8},
                                                    {"array", 12},
                                                    {"u64", 8},
                                                    {"i64", 8},
                                                    {"f64", 8}}};

// The types that no matrix is stored in here (one that comes to be may stay). Bytes 0: retired, no
// program reads them any more.
constexpr GgufTensorType kOtherTypes[] = {
    {4, "Q4_2", 16, 0},        {5, "Q4_3", 16, 0},        {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},     {11, "Q3_K", 256, 110},    {15, "Q8_K", 256, 292},
    {16, "IQ2_XXS", 256, 66},  {17, "IQ2_XS", 256, 74},   {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},    {20, "IQ4_NL", 32, 18},    {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},    {23, "IQ4_XS", 256, 136},  {24, "I8", 1, 1},
    {25, "I16", 1, 2},         {26, "I32", 1, 4},         {27, "I64", 1, 8},
    {28, "F64", 1, 8},         {29, "IQ1_M", 256, 56},    {31, "Q4_0_4_4", 32, 0},
    {32, "Q4_0_4_8", 32, 0},   {33, "Q4_0_8_8", 32, 0},   {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},    {36, "IQ4_NL_4_4", 32, 0}, {37, "IQ4_NL_4_8", 32, 0},
    {38, "IQ4_NL_8_8", 32, 0}, {39, "MXFP4", 32, 17},     {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},     {42, "Q2_0", 64, 18},
};
constexpr std::size_t kTypes = 43;

// By number: those, and the formats of matrices, whose own table says their sizes.
constexpr std::array<GgufTensorType, kTypes> kTensorTypes = [] {
  std::array<GgufTensorType, kTypes> all{};
  for (const GgufTensorType& type : kOtherTypes) {
    all[type.id] = type;
  }
  for (const kernels::MatrixFormatRow& row : kernels::kMatrixFormatRows) {
    if (row.in_gguf()) {
      const auto id = static_cast<u32>(row.gguf_type);
      all[id] = {id, row.name, row.block.values, row.block.bytes};
    }
  }
  return all;
}();
static_assert(std::ranges::none_of(kTensorTypes, &std::string_view::empty, &GgufTensorType::name),
              "each number has a type");

}  // namespace

std::string_view gguf_value_type_name(GgufValueType type) {
  return kValueTypes[static_cast<i64>(type)].name;
}

const GgufTensorType* find_gguf_type(u32 id) {
  return id < kTensorTypes.size() ? &kTensorTypes[id] : nullptr;
}

i64 gguf_tensor_bytes(std::string_view where, u32 type, std::span<const i64> shape) {
  const GgufTensorType* known = find_gguf_type(type);
  if (known == nullptr) {
    throw DataError(str(where, ": unknown tensor type ", type));
  }
  if (known->block_bytes == 0) {
    throw DataError(str(where, ": tensor type ", known->name,
                        " is retired, no current program reads it; convert the model again"));
  }
  const i64 row = shape.empty() ? 1 : shape.back();
  if (row % known->block_values != 0) {
    throw DataError(str(where, ": rows of ", row, " values are not whole ", known->name,
                        " blocks of ", known->block_values));
  }
  const std::string what = str(where, ": the size of its shape");
  CheckedSize bytes(row / known->block_values, what);
  bytes = bytes * known->block_bytes;
  for (std::size_t axis = 0; axis + 1 < shape.size(); ++axis) {
    bytes = bytes * shape[axis];
  }
  return bytes.value();
}

i64 detail::gguf_value_bytes(GgufValueType type) {
  return kValueTypes[static_cast<i64>(type)].bytes;
}

i64 detail::gguf_alignment(std::string_view where, const GgufValue* value) {
  if (value == nullptr) {
    return kGgufDefaultAlignment;
  }
  const auto* alignment = std::get_if<u32>(value);
  if (alignment == nullptr) {
    throw DataError(str(where, ": \"", kGgufAlignmentKey, "\": expected a u32, found ",
                        gguf_value_type_name(static_cast<GgufValueType>(value->index()))));
  }
  if (!std::has_single_bit(*alignment)) {
    throw DataError(
        str(where, ": \"", kGgufAlignmentKey, "\": ", *alignment, " is not a power of two"));
  }
  return *alignment;
}

std::string detail::gguf_where(std::string_view path, std::string_view name) {
  return str(printable(path, 300), ": \"", printable(name), "\"");
}

}  // namespace inlay
