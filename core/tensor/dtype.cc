// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/dtype.h"

#include <array>

namespace inlay {
namespace {

struct Row {
  std::string_view name;
  i64 size;
};

// In the order of the enumerators.
constexpr std::array<Row, 10> kRows = {{{"f32", 4},
                                        {"bf16", 2},
                                        {"f16", 2},
                                        {"f64", 8},
                                        {"i8", 1},
                                        {"u8", 1},
                                        {"i16", 2},
                                        {"i32", 4},
                                        {"i64", 8},
                                        {"bool", 1}}};
static_assert(kRows[static_cast<i64>(DType::kBool)].name == "bool");

}  // namespace

i64 size_of(DType dtype) {
  return kRows[static_cast<i64>(dtype)].size;
}

std::string_view dtype_name(DType dtype) {
  return kRows[static_cast<i64>(dtype)].name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) {
      return static_cast<DType>(i);
    }
  }
  return std::nullopt;
}

}  // namespace inlay
