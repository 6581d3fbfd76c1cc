// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/text/regex.h"
#include "data/tokenizer/normalizer.h"

namespace inlay {

/// The expression GPT-2 splits with, built into the `ByteLevel` pre-tokenizer.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of the matches of a split, and of the gaps between them: for "-" in "a--b",
enum class SplitBehavior {
  kRemoved,             // a b
  kIsolated,            // a - - b
  kMergedWithPrevious,  // a- - b
  kMergedWithNext,      // a - -b
  kContiguous,          // a -- b
};

/// Cuts normalised text into the pieces that the model sees one by one: a list of steps, each
/// refining the pieces of the one before.
class PreTokenizer {
 public:
  /// `invert`: the gaps are taken for matches, and the matches for gaps.
  void add_split(Regex regex, SplitBehavior behavior, bool invert = false);
  /// A blank in front of every piece that does not start with one.
  void add_prefix_blank();
  bool has_prefix_blank() const;

  /// The pieces of `text`, none of them empty. Prefixed blanks change the text.
  std::vector<ByteRange> split(AlignedText& text) const;

 private:
  struct Step;
  std::vector<std::shared_ptr<const Step>> steps_;
};

}  // namespace inlay
