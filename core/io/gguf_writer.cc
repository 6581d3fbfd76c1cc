// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <type_traits>

#include "core/checked.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/gguf.h"
#include "core/io/gguf_types.h"

namespace inlay {
namespace {

using detail::gguf_where;

constexpr u32 kVersion = 3;

template <class T>
void append(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void append_text(std::string& out, std::string_view text) {
  append<u64>(out, text.size());
  out += text;
}

void append_value(std::string& out, const GgufValue& value) {
  append(out, static_cast<u32>(value.index()));
  std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>) {
          append_text(out, v);
        } else if constexpr (std::is_same_v<T, GgufArray>) {
          append(out, static_cast<u32>(v.type));
          append<u64>(out, v.count);
          out.append(reinterpret_cast<const char*>(v.bytes.data()), v.bytes.size());
        } else {
          append(out, v);
        }
      },
      value);
}

void check_keys(const std::string& path, const GgufMetadata& metadata) {
  std::set<std::string_view> seen;
  for (const auto& [key, value] : metadata) {
    if (key.empty()) {
      throw DataError(printable(path, 300) + ": a key is empty");
    }
    if (!seen.insert(key).second) {
      throw DataError(gguf_where(path, key) + ": given twice");
    }
  }
}

void check_tensors(const std::string& path, const std::vector<GgufTensorToWrite>& tensors) {
  std::set<std::string_view> seen;
  for (const GgufTensorToWrite& tensor : tensors) {
    const std::string where = gguf_where(path, tensor.name);
    const auto size = static_cast<i64>(tensor.name.size());
    if (size == 0 || size > detail::kGgufMaxTensorName) {
      throw DataError(str(where, ": a tensor's name has 1 to ", detail::kGgufMaxTensorName,
                          " bytes, not ", size));
    }
    if (!seen.insert(tensor.name).second) {
      throw DataError(where + ": two tensors of this name");
    }
    if (static_cast<i64>(tensor.shape.size()) > detail::kGgufMaxDims) {
      throw DataError(str(where, ": ", tensor.shape.size(), " dimensions, more than the ",
                          detail::kGgufMaxDims, " allowed"));
    }
  }
}

/// Everything before the data, padded; `offsets` receives where each tensor's data begins, and at
/// last where all of it ends.
std::string make_head(const std::string& path, const GgufMetadata& metadata,
                      const std::vector<GgufTensorToWrite>& tensors, i64 alignment,
                      std::vector<i64>& offsets) {
  std::string head(detail::kGgufMagic);
  append(head, kVersion);
  append<u64>(head, tensors.size());
  append<u64>(head, metadata.size());
  for (const auto& [key, value] : metadata) {
    append_text(head, key);
    append_value(head, value);
  }
  CheckedSize offset(0, "the size of the file");
  for (const GgufTensorToWrite& tensor : tensors) {
    append_text(head, tensor.name);
    append(head, static_cast<u32>(tensor.shape.size()));
    for (auto dim = tensor.shape.rbegin(); dim != tensor.shape.rend(); ++dim) {
      append<u64>(head, *dim);
    }
    append(head, tensor.type);
    append<u64>(head, offset.value());
    offsets.push_back(offset.value());
    offset = (offset + gguf_tensor_bytes(gguf_where(path, tensor.name), tensor.type, tensor.shape))
                 .rounded_up(alignment);
  }
  offsets.push_back(offset.value());
  const CheckedSize size(head.size(), "the size of the file");
  head.resize(static_cast<std::size_t>(size.rounded_up(alignment).value()), '\0');
  return head;
}

}  // namespace

void write_gguf(const std::string& path, const GgufMetadata& metadata,
                const std::vector<GgufTensorToWrite>& tensors) {
  check_keys(path, metadata);
  check_tensors(path, tensors);
  const auto wanted = std::find_if(metadata.begin(), metadata.end(), [](const auto& entry) {
    return entry.first == detail::kGgufAlignmentKey;
  });
  const i64 alignment = detail::gguf_alignment(
      printable(path, 300), wanted == metadata.end() ? nullptr : &wanted->second);
  std::vector<i64> offsets;
  const std::string head = make_head(path, metadata, tensors, alignment, offsets);
  AtomicFile file(path,
                  (CheckedSize(head.size(), "the size of the file") + offsets.back()).value());
  file.write(head);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const i64 bytes = gguf_tensor_bytes(path, tensors[i].type, tensors[i].shape);
    tensors[i].bytes.write_to(file, bytes);
    file.write(std::string(static_cast<std::size_t>(offsets[i + 1] - offsets[i] - bytes), '\0'));
  }
  file.commit();
}

}  // namespace inlay
