// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/io/byte_source.h"
#include "core/io/file_system.h"
#include "core/tensor/dtype.h"
#include "core/types.h"

/// safetensors files, which hold named tensors and nothing else:
///
///   8 bytes    N, little-endian
///   N bytes    a JSON object: name -> {dtype, shape, data_offsets: [begin, end]}, and
///              "__metadata__" -> strings
///   the rest   the tensors' bytes, each begin where the one before ended
///
/// The reader maps the file and believes nothing: the header must account for every byte, so no two
/// tensors overlap, none leaves the file, and no hole hides anything.
namespace inlay {

/// A tensor of a file. `data` is part of `file`, which it keeps mapped, and is not aligned to
/// anything: copy it or load from it with memcpy.
struct TensorEntry {
  std::string name;
  /// As the file spells it: "BF16".
  std::string stored_dtype;
  /// Nothing for types that can be listed but not computed with ("F8_E4M3").
  std::optional<DType> dtype;
  std::vector<i64> shape;  // slowest axis first; [] is a scalar
  std::span<const std::byte> data;
  std::shared_ptr<const MappedFile> file;
};

/// "BF16" for kBf16, as safetensors spells it.
std::string_view safetensors_name(DType dtype);

class SafetensorsFile {
 public:
  /// Maps and checks the file. Throws IoError when it cannot be read, DataError `<file>: …` when
  /// anything in it is not as the format has it.
  explicit SafetensorsFile(const std::string& path);
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> file);

  const std::string& path() const { return file_->path(); }
  /// In the order of their bytes.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Null when there is none of that name.
  const TensorEntry* find(std::string_view name) const;
  /// An entry whose dtype is set. Throws DataError when there is none of that name, with the
  /// nearest name, or when its type is not supported.
  const TensorEntry& at(std::string_view name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string, i64> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// The tensors of a model, in one file or in the shards an index names. What the shards hold is
/// what there is, as for Transformers: an index that leaves tensors out, or lists some that nobody
/// has, does no harm until one of these is asked for.
class SafetensorsModel {
 public:
  /// `path`: a .safetensors file, a .safetensors.index.json file, or a folder, in which
  /// `<stem>.safetensors` is looked for, then `<stem>.safetensors.index.json`. Pickle files are
  /// refused: reading one can run any code.
  explicit SafetensorsModel(const std::string& path, const std::string& stem = "model");
  SafetensorsModel(const SafetensorsModel&) = delete;
  SafetensorsModel& operator=(const SafetensorsModel&) = delete;
  SafetensorsModel(SafetensorsModel&&) = default;
  SafetensorsModel& operator=(SafetensorsModel&&) = default;
  ~SafetensorsModel() = default;

  /// Sorted by name.
  const std::vector<const TensorEntry*>& entries() const { return entries_; }
  const TensorEntry* find(std::string_view name) const;
  /// As SafetensorsFile::at.
  const TensorEntry& at(std::string_view name) const;
  const std::vector<SafetensorsFile>& files() const { return files_; }

 private:
  void read_index(const std::string& path);
  void take_entries();

  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::vector<const TensorEntry*> entries_;
  std::map<std::string, std::string> absent_;  // listed in the index, but not in this its shard
};

/// A tensor to be written.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<i64> shape;
  ByteSource bytes;
};

/// Writes a file as the reference implementation does, byte for byte: the widest types first, then
/// by name, no gaps, the header padded to a multiple of 8. Appears whole or not at all. Throws
/// IoError, and DataError for a name that is taken twice, reserved or not UTF-8.
void write_safetensors(const std::string& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

namespace detail {
/// `found`, if it is there and its dtype is set; else the DataError for it.
const TensorEntry& require_tensor(std::string_view path, std::string_view name,
                                  const TensorEntry* found,
                                  const std::vector<const TensorEntry*>& others);
}  // namespace detail

}  // namespace inlay
