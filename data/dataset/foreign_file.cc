// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/foreign_file.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

using namespace std::string_view_literals;

struct Signature {
  std::string_view bytes;
  std::string_view what;
  std::string_view advice;
};

constexpr std::string_view kUnpack = "unpack it first";
constexpr std::string_view kToJson =
    "write its rows as JSON lines first, as Dataset.to_json of Python's datasets does";
constexpr std::string_view kNoRows = "there are no rows of text in it";

/// What stands at the very start of such files. The longer of two that begin alike comes first.
constexpr Signature kSignatures[] = {
    {"\x1F\x8B"sv, "compressed by gzip", "unpack it first (gunzip)"},
    {"\x28\xB5\x2F\xFD"sv, "compressed by zstd", "unpack it first (zstd -d)"},
    {"BZh"sv, "compressed by bzip2", "unpack it first (bunzip2)"},
    {"\xFD"
     "7zXZ"sv,
     "compressed by xz", "unpack it first (unxz)"},
    {"\x04\x22\x4D\x18"sv, "compressed by lz4", "unpack it first (lz4 -d)"},
    {"\xFF\x06\x00\x00sNaPpY"sv, "compressed by snappy", kUnpack},
    {"PK\x03\x04"sv, "a zip archive", "unpack it first (unzip)"},
    {"PK\x05\x06"sv, "an empty zip archive", kNoRows},
    {"7z\xBC\xAF\x27\x1C"sv, "a 7z archive", "unpack it first (7z x)"},
    {"Rar!\x1A\x07"sv, "a rar archive", kUnpack},
    {"PAR1"sv, "a Parquet table", kToJson},
    {"ARROW1"sv, "an Arrow table", kToJson},
    {"\xFF\xFF\xFF\xFF"sv, "an Arrow table", kToJson},
    {"ORC"sv, "an ORC table", kToJson},
    {"Obj\x01"sv, "an Avro file", kToJson},
    {"SQLite format 3\0"sv, "an SQLite database", "write its rows as JSON lines first"},
    {"\x89HDF\r\n"sv, "an HDF5 file", "write its rows as JSON lines first"},
    {"\x93NUMPY"sv, "a NumPy array", "write its rows as JSON lines first"},
    {"\x80\x02"sv, "a Python pickle", "write its rows as JSON lines first"},
    {"\x80\x03"sv, "a Python pickle", "write its rows as JSON lines first"},
    {"\x80\x04"sv, "a Python pickle", "write its rows as JSON lines first"},
    {"\x80\x05"sv, "a Python pickle", "write its rows as JSON lines first"},
    {"%PDF-"sv, "a PDF document", "take its text out first"},
    {"GGUF"sv, "a GGUF model", kNoRows},
    {"\x89PNG\r\n"sv, "a picture", kNoRows},
    {"\xFF\xD8\xFF"sv, "a picture", kNoRows},
    {"version https://git-lfs"sv, "the pointer of a file in Git LFS, not the file itself",
     "fetch it first (git lfs pull)"},
};

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // of UTF-8

struct Encoding {
  std::string_view mark;  // byte order mark
  std::string_view name;  // for people
  std::string_view code;  // for iconv
};
/// UTF-32 first: the mark of its little-endian form begins as that of UTF-16 does.
constexpr Encoding kEncodings[] = {
    {"\xFF\xFE\0\0"sv, "UTF-32 (little-endian)", "UTF-32LE"},
    {"\0\0\xFE\xFF"sv, "UTF-32 (big-endian)", "UTF-32BE"},
    {"\xFF\xFE"sv, "UTF-16 (little-endian)", "UTF-16LE"},
    {"\xFE\xFF"sv, "UTF-16 (big-endian)", "UTF-16BE"},
};
constexpr const Encoding& kUtf32Le = kEncodings[0];
constexpr const Encoding& kUtf32Be = kEncodings[1];
constexpr const Encoding& kUtf16Le = kEncodings[2];
constexpr const Encoding& kUtf16Be = kEncodings[3];

/// Without a mark the zero bytes tell: those of ASCII characters stand at every second place, or at
/// all but every fourth. nullptr: text in UTF-8 has none at such places.
const Encoding* unmarked_encoding(std::string_view start) {
  std::array<i64, 4> zeros{};
  const std::size_t size = std::min<std::size_t>(start.size(), kForeignBytes) / 4 * 4;
  for (std::size_t i = 0; i < size; ++i) {
    zeros[i % 4] += start[i] == '\0' ? 1 : 0;
  }
  const i64 units = static_cast<i64>(size / 4);
  if (units > 0 && zeros[2] == units && zeros[3] == units) {
    return &kUtf32Le;
  }
  if (units > 0 && zeros[0] == units && zeros[1] == units) {
    return &kUtf32Be;
  }
  const i64 even = zeros[0] + zeros[2];
  const i64 odd = zeros[1] + zeros[3];
  if (even == 0 && 2 * odd >= units && odd > 0) {
    return &kUtf16Le;
  }
  return odd == 0 && 2 * even >= units && even > 0 ? &kUtf16Be : nullptr;
}

const Encoding* other_encoding(std::string_view start) {
  for (const Encoding& encoding : kEncodings) {
    // Four bytes of UTF-32 may be UTF-16 with a zero for its first character, which no text has.
    if (start.starts_with(encoding.mark)) {
      return &encoding;
    }
  }
  return unmarked_encoding(start);
}

bool begins_with(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), text.begin(), [](char wanted, char c) {
           return wanted == (c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
         });
}

std::string_view without_blanks(std::string_view start) {
  start.remove_prefix(start.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  return start.substr(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
}

}  // namespace

std::optional<std::string> foreign_text(std::string_view start) {
  // Before the encodings: four bytes 0xFF open an Arrow stream.
  for (const Signature& s : kSignatures) {
    if (start.starts_with(s.bytes)) {
      return str("the file is ", s.what, ": ", s.advice);
    }
  }
  if (const Encoding* encoding = other_encoding(start)) {
    return str("the file is text in ", encoding->name,
               ", not in UTF-8: save it as UTF-8, or convert it (iconv -f ", encoding->code,
               " -t UTF-8)");
  }
  if (start.size() > 262 && start.substr(257, 5) == "ustar") {
    return str("the file is a tar archive: unpack it first (tar -xf)");
  }
  return std::nullopt;
}

std::optional<std::string> foreign_rows(std::string_view start) {
  if (auto foreign = foreign_text(start)) {
    return foreign;
  }
  const std::string_view text = without_blanks(start);
  if (begins_with(text, "<!doctype") || begins_with(text, "<html")) {
    return "the file is a web page, perhaps what a server said instead of the file: download it "
           "again";
  }
  if (begins_with(text, "<?xml")) {
    return "the file is XML: write its rows as JSON lines first";
  }
  const std::string_view row = without_blanks(text.starts_with('[') ? text.substr(1) : text);
  if (row.starts_with('{') && without_blanks(row.substr(1)).starts_with('\'')) {
    return "the rows are written as Python prints a dict, with single quotes: write them as JSON "
           "(json.dumps)";
  }
  return std::nullopt;
}

std::string read_text_file(const std::string& path, i64 max_bytes) {
  std::string text = file_system().read(path, max_bytes);
  if (const auto foreign = foreign_text(text)) {
    throw DataError(str(printable(path, 300), ": ", *foreign));
  }
  text.erase(0, text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  return text;
}

}  // namespace inlay
