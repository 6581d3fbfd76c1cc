// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/io/byte_source.h"
#include "core/io/file_system.h"
#include "core/types.h"

/// GGUF files, llama.cpp's container of metadata and tensors (little-endian, versions 2 and 3):
///
///   "GGUF", u32 version, u64 tensor count, u64 key count
///   keys      string, u32 value type, value
///   tensors   string, u32 dimensions, u64 each, u32 tensor type, u64 offset
///   padding to a multiple of general.alignment (32), then the tensors' data, each padded likewise
///
///   string    u64 bytes, the bytes;   array   u32 value type, u64 count, the values
///
/// The reader maps the file. Every length and count is held against the bytes that are left before
/// anything is reserved for it, and every offset must be the running sum of the sizes before it.
namespace inlay {

/// Numbered as in the file, and in the order of GgufValue's alternatives.
enum class GgufValueType : u32 {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};
/// "u32", "string", …
std::string_view gguf_value_type_name(GgufValueType type);

/// An array as the file has it, so that a vocabulary costs nothing until it is asked for. One
/// of arrays can be listed, but none of its values asked for.
struct GgufArray {
  GgufValueType type = GgufValueType::kU8;
  i64 count = 0;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // keeps `bytes`

  static GgufArray of(const std::vector<std::string>& values);
  static GgufArray of(const std::vector<i32>& values);
  static GgufArray of(const std::vector<float>& values);
};

using GgufValue =
    std::variant<u8, i8, u16, i16, u32, i32, float, bool, std::string, GgufArray, u64, i64, double>;
using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;

/// How the tensor types of ggml store their values: `block_bytes` bytes for every `block_values`
/// values of a row.
struct GgufTensorType {
  u32 id;
  std::string_view name;  // "Q4_K"
  i64 block_values;
  i64 block_bytes;
};
/// Null for a number no type has. Retired types have block_bytes 0.
const GgufTensorType* find_gguf_type(u32 id);
/// Bytes of a tensor. Throws DataError `<where>: …` for an unknown or retired type, rows that are
/// not whole blocks, and sizes that overflow.
i64 gguf_tensor_bytes(std::string_view where, u32 type, std::span<const i64> shape);

/// A tensor of a file; `data` is part of `file`, which it keeps mapped.
struct GgufTensor {
  std::string name;
  std::vector<i64> shape;  // slowest axis first, as PyTorch has it: the file's order reversed
  const GgufTensorType* type = nullptr;
  std::span<const std::byte> data;
  std::shared_ptr<const MappedFile> file;
};

class GgufFile {
 public:
  /// Maps and checks the file. Throws IoError when it cannot be read, DataError `<file>: …` when
  /// anything in it is not as the format has it.
  explicit GgufFile(const std::string& path);
  explicit GgufFile(std::shared_ptr<const MappedFile> file);
  /// The same for a model that may be split into files `<stem>-00001-of-00003.gguf` …: from the
  /// path of the first come the tensors of all, with the metadata of the first. Throws DataError
  /// for another part alone, for parts that are missing, and for such that do not belong together.
  static GgufFile with_all_parts(const std::string& path);

  const std::string& path() const { return file_->path(); }
  /// The paths of all files read, path() first.
  std::vector<std::string> parts() const;
  /// In the order of the file.
  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  /// Null when there is none of that name.
  const GgufValue* find(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;
  /// Throws DataError with the nearest name when there is none.
  const GgufTensor& tensor(std::string_view name) const;

  /// Values by type; throw DataError `<file>: "<key>": expected …, found …`. The find_ functions
  /// return nothing for a missing key, the get_ functions throw, with the nearest key. Integers of
  /// any width are one type, as are floats; string_views point into the file.
  std::optional<i64> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> find_strings(std::string_view key) const;
  std::optional<std::vector<i64>> find_ints(std::string_view key) const;  // bools are 0 and 1
  std::optional<std::vector<float>> find_floats(std::string_view key) const;

  i64 get_int(std::string_view key) const { return required(key, find_int(key)); }
  double get_float(std::string_view key) const { return required(key, find_float(key)); }
  bool get_bool(std::string_view key) const { return required(key, find_bool(key)); }
  std::string_view get_string(std::string_view key) const {
    return required(key, find_string(key));
  }
  std::vector<std::string_view> get_strings(std::string_view key) const {
    return required(key, find_strings(key));
  }
  std::vector<i64> get_ints(std::string_view key) const { return required(key, find_ints(key)); }
  std::vector<float> get_floats(std::string_view key) const {
    return required(key, find_floats(key));
  }

 private:
  void take_tensors_of(GgufFile part);
  template <class T>
  T required(std::string_view key, std::optional<T> value) const {
    if (!value) {
      throw_missing(key);
    }
    return std::move(*value);
  }
  [[noreturn]] void throw_missing(std::string_view key) const;
  [[noreturn]] void throw_wrong_type(std::string_view key, std::string_view expected) const;
  const GgufArray* find_array(std::string_view key, std::string_view expected) const;

  std::shared_ptr<const MappedFile> file_;
  std::vector<std::shared_ptr<const MappedFile>> other_parts_;
  GgufMetadata metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, i64> key_index_;
  std::unordered_map<std::string, i64> tensor_index_;
};

struct GgufTensorToWrite {
  std::string name;
  std::vector<i64> shape;  // slowest axis first
  u32 type = 0;            // ggml's number
  ByteSource bytes;
};

/// Writes a version 3 file, keys and tensors in the order given, aligned to the metadata's
/// general.alignment or 32. Appears whole or not at all. Throws IoError, and DataError for what a
/// reader would refuse.
void write_gguf(const std::string& path, const GgufMetadata& metadata,
                const std::vector<GgufTensorToWrite>& tensors);

}  // namespace inlay
