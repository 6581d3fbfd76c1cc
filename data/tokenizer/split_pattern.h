// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "core/config/choice.h"

/// The expressions that byte-level tokenizers cut texts into words with.
namespace inlay {

/// Built into the `ByteLevel` pre-tokenizer.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
/// Digits by threes, and a sign or a newline before the letters it belongs to.
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// The same with each digit by itself.
inline constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Those that a new tokenizer may have.
enum class SplitPattern { kGpt2, kLlama3, kQwen2 };

std::string_view expression_of(SplitPattern pattern);

template <>
struct ChoicesOf<SplitPattern> {
  static std::span<const Choice<SplitPattern>> all();
};

}  // namespace inlay
