// SPDX-License-Identifier: Apache-2.0
#include "core/io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/checked.h"
#include "core/config/json.h"
#include "core/error.h"

namespace inlay {
namespace {

constexpr i64 kMaxHeaderBytes = 100'000'000;  // the format's own limit
// Ours, so that a small file cannot claim a large memory; the largest models have a few thousand
// tensors a file, with names under 200 bytes.
constexpr i64 kMaxTensors = 100'000;
constexpr i64 kMaxNameBytes = 1024;
constexpr i64 kMaxHeaderValues = 12 * kMaxTensors;
constexpr i64 kMaxHeaderDepth = 3;

struct StoredType {
  std::string_view name;
  i64 bits;
  std::optional<DType> dtype;
};

constexpr std::array<StoredType, 22> kStoredTypes = {{{"BOOL", 8, DType::kBool},
                                                      {"U8", 8, DType::kU8},
                                                      {"I8", 8, DType::kI8},
                                                      {"I16", 16, DType::kI16},
                                                      {"F16", 16, DType::kF16},
                                                      {"BF16", 16, DType::kBf16},
                                                      {"I32", 32, DType::kI32},
                                                      {"F32", 32, DType::kF32},
                                                      {"I64", 64, DType::kI64},
                                                      {"F64", 64, DType::kF64},
                                                      {"F4", 4, {}},
                                                      {"F6_E2M3", 6, {}},
                                                      {"F6_E3M2", 6, {}},
                                                      {"F8_E5M2", 8, {}},
                                                      {"F8_E4M3", 8, {}},
                                                      {"F8_E8M0", 8, {}},
                                                      {"F8_E4M3FNUZ", 8, {}},
                                                      {"F8_E5M2FNUZ", 8, {}},
                                                      {"U16", 16, {}},
                                                      {"U32", 32, {}},
                                                      {"U64", 64, {}},
                                                      {"C64", 64, {}}}};

const StoredType* find_type(std::string_view name) {
  for (const StoredType& type : kStoredTypes) {
    if (type.name == name) {
      return &type;
    }
  }
  return nullptr;
}

std::string in_quotes(std::string_view name) {
  return str("\"", printable(name), "\"");
}

/// A value as a message shows it: short, and never a whole subtree.
std::string shown(const nlohmann::json& value) {
  if (value.is_structured()) {
    return str("an ", value.type_name());
  }
  return printable(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), 60);
}

/// What the header says of one tensor, before it is held against the others.
struct Claim {
  TensorEntry entry;
  i64 bits = 0;  // of one element
  i64 begin = 0;
  i64 end = 0;
};

/// Reads and checks a header, in the order of the reference implementation.
class HeaderReader {
 public:
  explicit HeaderReader(const MappedFile& file)
      : bytes_(file.bytes()), path_(printable(file.path(), 300)) {}

  void read() {
    const std::string_view header = find_header();
    const nlohmann::json json = parse_json(
        header, path_ + ": header", {.max_depth = kMaxHeaderDepth, .max_values = kMaxHeaderValues});
    for (const auto& [name, value] : json.items()) {
      if (name == "__metadata__") {
        read_metadata(value);
      } else {
        claims_.push_back(read_claim(name, value));
      }
    }
    if (static_cast<i64>(claims_.size()) > kMaxTensors) {
      fail(str(claims_.size(), " tensors, more than the ", kMaxTensors, " supported"));
    }
    check_layout();
  }

  std::vector<Claim> claims_;
  std::map<std::string, std::string> metadata_;
  std::span<const std::byte> data_;

 private:
  std::string_view find_header() {
    const auto size = static_cast<i64>(bytes_.size());
    if (size < 8) {
      fail(
          str("not a safetensors file: ", size, " bytes, fewer than the 8 of the header's length"));
    }
    u64 length = 0;
    std::memcpy(&length, bytes_.data(), sizeof length);
    if (length > static_cast<u64>(kMaxHeaderBytes)) {
      fail(str("not a safetensors file: a header of ", length, " bytes, more than the ",
               kMaxHeaderBytes, " allowed"));
    }
    if (static_cast<i64>(length) > size - 8) {
      fail(str("cut short: the header takes ", length, " bytes, and ", size - 8, " follow"));
    }
    const std::string_view header(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
    if (!header.starts_with('{')) {
      fail("not a safetensors file: the header does not begin with {");
    }
    data_ = bytes_.subspan(8 + length);
    return header;
  }

  void read_metadata(const nlohmann::json& value) {
    if (!value.is_object()) {
      fail(str("__metadata__: expected an object of strings, found ", shown(value)));
    }
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) {
        fail(str("__metadata__: ", in_quotes(key), ": expected a string, found ", shown(text)));
      }
      metadata_[key] = text.get<std::string>();
    }
  }

  Claim read_claim(const std::string& name, const nlohmann::json& value) {
    const std::string where = in_quotes(name) + ": ";
    if (static_cast<i64>(name.size()) > kMaxNameBytes) {
      fail(str(where, "a name of ", name.size(), " bytes, more than the ", kMaxNameBytes,
               " supported"));
    }
    if (!value.is_object()) {
      fail(str(where, "expected an object with dtype, shape and data_offsets, found ",
               shown(value)));
    }
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      if (!value.contains(key)) {
        fail(str(where, "no \"", key, "\""));
      }
    }
    Claim claim;
    claim.entry.name = name;
    read_type(where, value["dtype"], claim);
    claim.entry.shape = read_sizes(where + "shape", value["shape"]);
    const std::vector<i64> offsets = read_sizes(where + "data_offsets", value["data_offsets"]);
    if (offsets.size() != 2) {
      fail(str(where, "data_offsets: expected [begin, end], found ", offsets.size(), " numbers"));
    }
    claim.begin = offsets[0];
    claim.end = offsets[1];
    return claim;
  }

  void read_type(const std::string& where, const nlohmann::json& value, Claim& claim) const {
    if (!value.is_string()) {
      fail(str(where, "dtype: expected a string, found ", shown(value)));
    }
    const auto& name = value.get_ref<const std::string&>();
    const StoredType* type = find_type(name);
    if (type == nullptr) {
      std::vector<std::string_view> names;
      names.reserve(kStoredTypes.size());
      for (const StoredType& known : kStoredTypes) {
        names.push_back(known.name);
      }
      // Short names: only what is one letter off is worth a suggestion.
      const std::string near = nearest_name(name, names);
      fail(str(where, "unknown dtype ", in_quotes(name),
               !near.empty() && edit_distance(name, near) == 1 ? " (did you mean \"" + near + "\"?)"
                                                               : ""));
    }
    claim.entry.stored_dtype = type->name;
    claim.entry.dtype = type->dtype;
    claim.bits = type->bits;
  }

  std::vector<i64> read_sizes(const std::string& where, const nlohmann::json& value) const {
    if (!value.is_array()) {
      fail(str(where, ": expected an array of whole numbers, found ", shown(value)));
    }
    std::vector<i64> sizes;
    for (const nlohmann::json& size : value) {
      if (!size.is_number_unsigned()) {
        fail(str(where, ": expected whole numbers from 0, found ", shown(size)));
      }
      sizes.push_back(CheckedSize(size.get<u64>(), str(path_, ": ", where)).value());
    }
    return sizes;
  }

  /// Every byte of the data belongs to exactly one tensor, and every tensor has the bytes its shape
  /// needs.
  void check_layout() {
    // In the order of their bytes each must begin where the one before ended: one pass finds holes
    // and overlaps alike.
    std::sort(claims_.begin(), claims_.end(), [](const Claim& a, const Claim& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    i64 position = 0;
    for (const Claim& claim : claims_) {
      const std::string where = in_quotes(claim.entry.name) + ": ";
      if (claim.begin != position) {
        fail(str(where, "begins at byte ", claim.begin, " of the data instead of ", position,
                 claim.begin < position ? ": tensors overlap" : ": bytes between the tensors"));
      }
      if (claim.end < claim.begin) {
        fail(str(where, "ends at byte ", claim.end, " of the data, before it begins at ",
                 claim.begin));
      }
      const i64 needed = bytes_needed(claim, str(path_, ": ", where, "the size of its shape"));
      if (claim.end - claim.begin != needed) {
        fail(str(where, "its shape needs ", needed, " bytes, its data_offsets hold ",
                 claim.end - claim.begin));
      }
      position = claim.end;
    }
    const auto size = static_cast<i64>(data_.size());
    if (position != size) {
      fail(str(position < size ? "bytes behind the last tensor: " : "cut short: ",
               "the tensors take ", position, " bytes, and ", size, " follow the header"));
    }
  }

  i64 bytes_needed(const Claim& claim, const std::string& what) const {
    // In bits, for types of less than a byte.
    CheckedSize bits(1, what);
    for (const i64 dim : claim.entry.shape) {
      bits = bits * dim;
    }
    bits = bits * claim.bits;
    if (bits.value() % 8 != 0) {
      fail(str(in_quotes(claim.entry.name), ": ", bits.value(), " bits of ",
               claim.entry.stored_dtype, " are not a whole number of bytes"));
    }
    return bits.value() / 8;
  }

  [[noreturn]] void fail(const std::string& what) const { throw DataError(str(path_, ": ", what)); }

  std::span<const std::byte> bytes_;
  std::string path_;
};

}  // namespace

std::string_view safetensors_name(DType dtype) {
  for (const StoredType& type : kStoredTypes) {
    if (type.dtype == dtype) {
      return type.name;
    }
  }
  INLAY_ASSERT(false);
  return "";
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : SafetensorsFile(file_system().map(path)) {}

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  HeaderReader header(*file_);
  header.read();
  metadata_ = std::move(header.metadata_);
  for (Claim& claim : header.claims_) {
    claim.entry.data = header.data_.subspan(static_cast<std::size_t>(claim.begin),
                                            static_cast<std::size_t>(claim.end - claim.begin));
    claim.entry.file = file_;
    by_name_[claim.entry.name] = static_cast<i64>(entries_.size());
    entries_.push_back(std::move(claim.entry));
  }
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

const TensorEntry& SafetensorsFile::at(std::string_view name) const {
  const TensorEntry* entry = find(name);
  std::vector<const TensorEntry*> others;
  if (entry == nullptr) {
    for (const TensorEntry& other : entries_) {
      others.push_back(&other);
    }
  }
  return detail::require_tensor(path(), name, entry, others);
}

const TensorEntry& detail::require_tensor(std::string_view path, std::string_view name,
                                          const TensorEntry* found,
                                          const std::vector<const TensorEntry*>& others) {
  if (found == nullptr) {
    constexpr std::size_t kCompared = 5000;  // a suggestion is not worth a second
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < std::min(others.size(), kCompared); ++i) {
      names.push_back(others[i]->name);
    }
    throw DataError(str(printable(path, 300), ": no tensor ", in_quotes(name),
                        printable(did_you_mean(name, names), 2000)));
  }
  if (!found->dtype) {
    throw DataError(str(printable(path, 300), ": ", in_quotes(name), ": dtype ",
                        found->stored_dtype, " is not supported"));
  }
  return *found;
}

}  // namespace inlay
