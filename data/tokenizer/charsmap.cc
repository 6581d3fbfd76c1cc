// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/charsmap.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/text/utf8.h"

// The bytes: length of the trie in bytes (u32), the trie, and the replacements, each ended by NUL.
// The trie is a double array of u32 units (Aoe 1989, as packed by Darts-clone): a unit has a label
// in bits 0-7, "a key ends below" in bit 8, and the distance to its children in bits 10-31, eight
// bits further left where bit 9 is set. The child for byte c of the unit at place p is at
// p ^ distance ^ c, if its label is c. A unit with bit 31 holds a key's value: where in the
// replacements its own starts.
namespace inlay {
namespace {

class Charsmap final : public NormalizerStep {
 public:
  Charsmap(std::vector<u32> units, std::string replacements)
      : units_(std::move(units)), replacements_(std::move(replacements)) {}

  NormalizedText apply(std::string_view text) const override {
    NormalizedText out;
    for (i64 at = 0; at < static_cast<i64>(text.size());) {
      const std::string_view grapheme = text.substr(at, grapheme_length(text.substr(at)));
      at += static_cast<i64>(grapheme.size());
      // A letter with its accents is looked up whole, if short, and else code point by code point.
      const auto whole = grapheme.size() < 6 ? replacement_of(grapheme) : std::nullopt;
      if (whole) {
        out.replace(static_cast<i64>(grapheme.size()), *whole);
        continue;
      }
      for (i64 i = 0; i < static_cast<i64>(grapheme.size());) {
        const std::string_view point = grapheme.substr(i, code_point_at(grapheme, i).length);
        if (const auto replacement = replacement_of(point)) {
          out.replace(static_cast<i64>(point.size()), *replacement);
        } else {
          out.keep(point);
        }
        i += static_cast<i64>(point.size());
      }
    }
    return out;
  }

 private:
  static u32 distance(u32 unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }

  /// Of the shortest key that starts `text`: so the tokenizers package does it.
  std::optional<std::string_view> replacement_of(std::string_view text) const {
    u32 place = distance(units_[0]);
    for (const char c : text) {
      const u32 byte = static_cast<u8>(c);
      place ^= byte;
      if (byte == 0 || place >= units_.size() || (units_[place] & 0x800000FFU) != byte) {
        return std::nullopt;
      }
      const u32 unit = units_[place];
      place ^= distance(unit);
      if ((unit & 0x100U) != 0) {
        const u32 begin = place < units_.size() ? units_[place] & 0x7FFFFFFFU : UINT32_MAX;
        if (begin >= replacements_.size()) {
          throw DataError("the table of replacements points outside of itself");
        }
        return std::string_view(replacements_.c_str() + begin);
      }
    }
    return std::nullopt;
  }

  std::vector<u32> units_;
  std::string replacements_;
};

u32 u32_at(std::string_view bytes, std::size_t at) {
  u32 value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    value = value << 8 | static_cast<u8>(bytes[at + i]);
  }
  return value;
}

std::string bytes_of_base64(std::string_view text) {
  std::string bytes;
  u32 bits = 0;
  int held = 0;
  while (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  for (const char c : text) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) {
      throw DataError("the table of replacements is not base64");
    }
    bits = bits << 6 | static_cast<u32>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes += static_cast<char>(bits >> held & 0xFF);
    }
  }
  return bytes;
}

}  // namespace

NormalizerStepPtr charsmap(std::string_view bytes) {
  const std::size_t length = bytes.size() < 4 ? 0 : u32_at(bytes, 0);
  if (length == 0 || length % 4 != 0 || length > bytes.size() - 4) {
    throw DataError("the table of replacements is cut short");
  }
  std::vector<u32> units;
  for (std::size_t at = 4; at < 4 + length; at += 4) {
    units.push_back(u32_at(bytes, at));
  }
  std::string replacements(bytes.substr(4 + length));
  check_utf8(replacements, "the table of replacements");
  return std::make_shared<Charsmap>(std::move(units), std::move(replacements));
}

NormalizerStepPtr charsmap_from_base64(std::string_view text) {
  return charsmap(bytes_of_base64(text));
}

}  // namespace inlay
