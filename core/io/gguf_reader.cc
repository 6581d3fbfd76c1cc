// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>

#include "core/checked.h"
#include "core/error.h"
#include "core/io/gguf.h"
#include "core/io/gguf_types.h"

namespace inlay {
namespace {

using detail::gguf_where;

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

// Ours, so that a small file cannot claim a large memory: models have under a hundred keys of under
// a hundred bytes, and a few thousand tensors.
constexpr u64 kMaxKeys = 100'000;
constexpr u64 kMaxTensorInfos = 100'000;
constexpr u64 kMaxKeyBytes = 65'535;
constexpr i64 kMaxArrayDepth = 8;  // arrays of arrays are in the specification and in no model
// The least a key and a tensor take in the file: an empty string, a type, a value; two numbers
// more.
constexpr u64 kMinKeyBytes = 8 + 4 + 1;
constexpr u64 kMinTensorBytes = 8 + 4 + 4 + 8;

/// Reads front to back; never past the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string path)
      : bytes_(bytes), path_(std::move(path)) {}

  u64 left() const { return bytes_.size() - position_; }
  i64 position() const { return static_cast<i64>(position_); }

  std::span<const std::byte> take(u64 count, std::string_view what) {
    if (count > left()) {
      fail(str("cut short: ", what, " takes ", count, " bytes at byte ", position_, ", and ",
               left(), " are left"));
    }
    const auto taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }
  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  std::string_view text(std::string_view what) {
    const auto bytes = take(number<u64>(what), what);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  [[noreturn]] void fail(const std::string& what) const { throw DataError(str(path_, ": ", what)); }

 private:
  std::span<const std::byte> bytes_;
  std::string path_;
  u64 position_ = 0;
};

class Reader {
 public:
  explicit Reader(std::shared_ptr<const MappedFile> file)
      : file_(std::move(file)),
        path_(printable(file_->path(), 300)),
        cursor_(file_->bytes(), path_) {}

  void read() {
    check_magic();
    check_version(cursor_.number<u32>("the version"));
    const u64 tensor_count = cursor_.number<u64>("the number of tensors");
    const u64 key_count = cursor_.number<u64>("the number of keys");
    // Both counts before either is used: they say how much will be reserved.
    check_count("keys", key_count, kMaxKeys, kMinKeyBytes);
    check_count("tensors", tensor_count, kMaxTensorInfos, kMinTensorBytes);
    for (u64 i = 0; i < key_count; ++i) {
      read_key();
    }
    const auto alignment = key_index.find(std::string(detail::kGgufAlignmentKey));
    alignment_ = detail::gguf_alignment(
        path_, alignment == key_index.end() ? nullptr : &metadata[alignment->second].second);
    for (u64 i = 0; i < tensor_count; ++i) {
      read_tensor();
    }
    place_tensors();
  }

  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::unordered_map<std::string, i64> key_index, tensor_index;

 private:
  void check_magic() {
    const std::size_t size = std::min<std::size_t>(file_->bytes().size(), 4);
    const std::string_view magic(reinterpret_cast<const char*>(file_->bytes().data()), size);
    if (magic != detail::kGgufMagic) {
      cursor_.fail(str("not a GGUF file: begins with \"", printable(magic), "\""));
    }
    cursor_.take(size, "the magic");
  }

  void check_version(u32 version) const {
    // Version 1 has 32-bit counts; 3 differs from 2 in allowing big-endian files, which are
    // refused.
    if (version == 2 || version == 3) {
      return;
    }
    const u32 swapped = __builtin_bswap32(version);
    if (swapped >= 1 && swapped <= 3) {
      cursor_.fail("a big-endian GGUF file; convert it to little-endian");
    }
    cursor_.fail(str("GGUF version ", version, "; versions 2 and 3 are read",
                     version == 1 ? ", convert the model again" : ""));
  }

  /// Before anything is reserved: more entries than the bytes left could hold are a lie.
  void check_count(std::string_view what, u64 count, u64 limit, u64 least_bytes) const {
    if (count > cursor_.left() / least_bytes) {
      cursor_.fail(str(count, " ", what, " cannot fit in the ", cursor_.left(), " bytes left"));
    }
    if (count > limit) {
      cursor_.fail(str(count, " ", what, ", more than the ", limit, " supported"));
    }
  }

  void read_key() {
    const std::string key(cursor_.text(str("key ", metadata.size())));
    if (key.empty()) {
      cursor_.fail(str("key ", metadata.size(), " is empty"));
    }
    if (key.size() > kMaxKeyBytes) {
      cursor_.fail(str("key ", metadata.size(), " has ", key.size(), " bytes, more than the ",
                       kMaxKeyBytes, " allowed"));
    }
    if (!key_index.emplace(key, metadata.size()).second) {
      throw DataError(gguf_where(path_, key) + ": given twice");
    }
    const GgufValueType type = read_type(key);
    metadata.emplace_back(key, read_value(key, type));
  }

  GgufValueType read_type(const std::string& key) {
    const u32 type = cursor_.number<u32>(in_quotes(key));
    if (type > static_cast<u32>(GgufValueType::kF64)) {
      throw DataError(str(gguf_where(path_, key), ": unknown value type ", type));
    }
    return static_cast<GgufValueType>(type);
  }

  GgufValue read_value(const std::string& key, GgufValueType type) {
    const std::string what = in_quotes(key);
    switch (type) {
      case GgufValueType::kU8:
        return cursor_.number<u8>(what);
      case GgufValueType::kI8:
        return cursor_.number<i8>(what);
      case GgufValueType::kU16:
        return cursor_.number<u16>(what);
      case GgufValueType::kI16:
        return cursor_.number<i16>(what);
      case GgufValueType::kU32:
        return cursor_.number<u32>(what);
      case GgufValueType::kI32:
        return cursor_.number<i32>(what);
      case GgufValueType::kF32:
        return cursor_.number<float>(what);
      case GgufValueType::kBool:
        return cursor_.number<u8>(what) != 0;
      case GgufValueType::kString:
        return std::string(cursor_.text(what));
      case GgufValueType::kArray:
        return read_array(key);
      case GgufValueType::kU64:
        return cursor_.number<u64>(what);
      case GgufValueType::kI64:
        return cursor_.number<i64>(what);
      case GgufValueType::kF64:
        break;
    }
    return cursor_.number<double>(what);
  }

  GgufArray read_array(const std::string& key, i64 depth = 0) {
    const std::string what = in_quotes(key);
    if (depth > kMaxArrayDepth) {
      throw DataError(str(gguf_where(path_, key), ": arrays are nested more than ", kMaxArrayDepth,
                          " levels deep"));
    }
    GgufArray array;
    array.type = read_type(key);
    const u64 count = cursor_.number<u64>(what);
    const auto element = static_cast<u64>(detail::gguf_value_bytes(array.type));
    if (count > cursor_.left() / element) {
      throw DataError(str(gguf_where(path_, key), ": ", count, " elements of type ",
                          gguf_value_type_name(array.type), " cannot fit in the ", cursor_.left(),
                          " bytes left"));
    }
    array.count = static_cast<i64>(count);
    array.owner = file_;
    if (array.type != GgufValueType::kString && array.type != GgufValueType::kArray) {
      array.bytes = cursor_.take(count * element, what);
      return array;
    }
    // Walked over once, to check it and to find its end; its elements are read when asked for.
    const i64 begin = cursor_.position();
    for (u64 i = 0; i < count; ++i) {
      if (array.type == GgufValueType::kString) {
        cursor_.text(what);
      } else {
        read_array(key, depth + 1);
      }
    }
    array.bytes = file_->bytes().subspan(static_cast<std::size_t>(begin),
                                         static_cast<std::size_t>(cursor_.position() - begin));
    return array;
  }

  void read_tensor() {
    const std::string number = str("tensor ", tensors.size());
    GgufTensor tensor;
    tensor.name = cursor_.text(number);
    if (tensor.name.empty()) {
      cursor_.fail(number + " has no name");
    }
    if (static_cast<i64>(tensor.name.size()) > detail::kGgufMaxTensorName) {
      throw DataError(str(gguf_where(path_, tensor.name), ": a name of ", tensor.name.size(),
                          " bytes, more than the ", detail::kGgufMaxTensorName, " allowed"));
    }
    if (!tensor_index.emplace(tensor.name, tensors.size()).second) {
      throw DataError(gguf_where(path_, tensor.name) + ": two tensors of this name");
    }
    const std::string where = gguf_where(path_, tensor.name);
    const u32 dims = cursor_.number<u32>(number);
    if (dims > detail::kGgufMaxDims) {
      throw DataError(
          str(where, ": ", dims, " dimensions, more than the ", detail::kGgufMaxDims, " allowed"));
    }
    for (u32 i = 0; i < dims; ++i) {
      tensor.shape.push_back(
          CheckedSize(cursor_.number<u64>(number), where + ": a dimension").value());
    }
    // ggml writes the fastest axis first.
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    const u32 type = cursor_.number<u32>(number);
    const i64 bytes = gguf_tensor_bytes(where, type, tensor.shape);
    tensor.type = find_gguf_type(type);
    // The offset adds nothing to the order of the tensors, and is held against it: so no two can
    // overlap.
    check_offset(where, cursor_.number<u64>(number));
    placed_.push_back({data_bytes_, bytes});
    data_bytes_ = (CheckedSize(data_bytes_, where + ": the end of its data") + bytes)
                      .rounded_up(alignment_)
                      .value();
    tensors.push_back(std::move(tensor));
  }

  void check_offset(const std::string& where, u64 offset) const {
    if (offset != static_cast<u64>(data_bytes_)) {
      throw DataError(str(where, ": its data is at offset ", offset, " instead of ", data_bytes_,
                          ": tensors follow one another, each padded to ", alignment_, " bytes"));
    }
  }

  void place_tensors() {
    if (tensors.empty()) {
      return;  // a vocabulary alone: the data section need not exist
    }
    const i64 start = CheckedSize(cursor_.position(), path_ + ": the data section")
                          .rounded_up(alignment_)
                          .value();
    const auto size = static_cast<i64>(file_->bytes().size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const std::string what = gguf_where(path_, tensors[i].name) + ": the end of its data";
      const i64 begin = (CheckedSize(start, what) + placed_[i].offset).value();
      const i64 end = (CheckedSize(begin, what) + placed_[i].bytes).value();
      if (end > size) {
        throw DataError(str(gguf_where(path_, tensors[i].name),
                            ": cut short: its data ends at byte ", end, " of the file, which has ",
                            size));
      }
      tensors[i].data = file_->bytes().subspan(static_cast<std::size_t>(begin),
                                               static_cast<std::size_t>(placed_[i].bytes));
      tensors[i].file = file_;
    }
  }

  static std::string in_quotes(std::string_view key) { return str("\"", printable(key), "\""); }

  struct Placed {
    i64 offset, bytes;
  };

  std::shared_ptr<const MappedFile> file_;
  std::string path_;
  Cursor cursor_;
  std::vector<Placed> placed_;
  i64 alignment_ = detail::kGgufDefaultAlignment;
  i64 data_bytes_ = 0;
};

}  // namespace

GgufFile::GgufFile(const std::string& path) : GgufFile(file_system().map(path)) {}

GgufFile::GgufFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  Reader reader(file_);
  reader.read();
  metadata_ = std::move(reader.metadata);
  tensors_ = std::move(reader.tensors);
  key_index_ = std::move(reader.key_index);
  tensor_index_ = std::move(reader.tensor_index);
}

}  // namespace inlay
