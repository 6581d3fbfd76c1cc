// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/checked.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/safetensors.h"

namespace inlay {
namespace {

constexpr std::string_view kMetadataName = "__metadata__";
constexpr i64 kMaxWrittenHeaderBytes = 100'000'000;  // readers refuse more

// The reference implementation's order: wide types first, which keeps every tensor aligned.
constexpr std::array<DType, 10> kOrder = {DType::kI64,  DType::kF64, DType::kF32, DType::kI32,
                                          DType::kBf16, DType::kF16, DType::kI16, DType::kI8,
                                          DType::kU8,   DType::kBool};

i64 rank_of(DType dtype) {
  return std::find(kOrder.begin(), kOrder.end(), dtype) - kOrder.begin();
}

i64 bytes_of(const TensorToWrite& tensor) {
  CheckedSize bytes(size_of(tensor.dtype), "the size of a tensor");
  for (const i64 dim : tensor.shape) {
    bytes = bytes * dim;
  }
  return bytes.value();
}

void check_names(const std::string& path, const std::vector<TensorToWrite>& sorted) {
  std::vector<std::string_view> names;
  names.reserve(sorted.size());
  for (const TensorToWrite& tensor : sorted) {
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) {
    throw DataError(
        str(printable(path, 300), ": two tensors are named \"", printable(*twice), "\""));
  }
  if (std::binary_search(names.begin(), names.end(), kMetadataName)) {
    throw DataError(str(printable(path, 300), ": no tensor may be named ", kMetadataName));
  }
}

std::string json_text(const std::string& path, const nlohmann::json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::type_error&) {
    throw DataError(str(printable(path, 300), ": a name or a metadata text is not UTF-8"));
  }
}

std::string make_header(const std::string& path, const std::vector<TensorToWrite>& sorted,
                        const std::map<std::string, std::string>& metadata) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += str("\"", kMetadataName, "\":", json_text(path, metadata));
  }
  CheckedSize end(0, "the size of the file");
  for (const TensorToWrite& tensor : sorted) {
    const i64 begin = end.value();
    end = end + bytes_of(tensor);
    header += str(header.size() == 1 ? "" : ",", json_text(path, tensor.name), ":{\"dtype\":\"",
                  safetensors_name(tensor.dtype),
                  "\",\"shape\":", json_text(path, nlohmann::json(tensor.shape)),
                  ",\"data_offsets\":[", begin, ",", end.value(), "]}");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (static_cast<i64>(header.size()) > kMaxWrittenHeaderBytes) {
    throw DataError(str(printable(path, 300), ": the header would take ", header.size(),
                        " bytes, more than the ", kMaxWrittenHeaderBytes, " allowed"));
  }
  return header;
}

}  // namespace

void write_safetensors(const std::string& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    return std::tuple(rank_of(a.dtype), std::string_view(a.name)) <
           std::tuple(rank_of(b.dtype), std::string_view(b.name));
  });
  check_names(path, tensors);
  const std::string header = make_header(path, tensors, metadata);
  CheckedSize total(8 + static_cast<i64>(header.size()), "the size of the file");
  for (const TensorToWrite& tensor : tensors) {
    total = total + bytes_of(tensor);
  }
  AtomicFile file(path, total.value());
  const u64 length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const TensorToWrite& tensor : tensors) {
    tensor.bytes.write_to(file, bytes_of(tensor));
  }
  file.commit();
}

}  // namespace inlay
