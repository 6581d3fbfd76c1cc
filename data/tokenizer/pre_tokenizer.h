// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/text/regex.h"
#include "data/tokenizer/normalizer.h"

namespace inlay {

/// What becomes of the matches of a split, and of the gaps between them: for "-" in "a--b",
enum class SplitBehavior {
  kRemoved,             // a b
  kIsolated,            // a - - b
  kMergedWithPrevious,  // a- - b
  kMergedWithNext,      // a - -b
  kContiguous,          // a -- b
};

/// Whether a blank, or what stands for one, is put before a text that does not start with one.
enum class PrependScheme { kAlways, kFirst, kNever };  // kFirst: at the start of the source alone

/// Cuts normalised text into the pieces that the model sees one by one: a list of steps, each
/// refining the pieces of the one before.
class PreTokenizer {
 public:
  struct Step;

  /// `invert`: the gaps are taken for matches, and the matches for gaps.
  void add_split(Regex regex, SplitBehavior behavior, bool invert = false);
  /// A blank in front of every piece that does not start with one.
  void add_prefix_blank();
  /// SentencePiece's blanks: `replacement` for each, and in front of a piece that does not start
  /// with one, as `scheme` says.
  void add_metaspace(std::string replacement, PrependScheme scheme);
  /// Cuts wherever `joined(left, right)` says that no token holds the two characters together. Only
  /// for speed: pieces get short, and short ones come again.
  void add_cuts(std::function<bool(char32_t, char32_t)> joined);

  bool has_prefix_blank() const { return has_prefix_blank_; }
  /// Whether split() asks where in the source a piece comes from.
  bool needs_source() const { return needs_source_; }

  /// The pieces of `text`, none of them empty. Prefixed and replaced blanks change the text.
  std::vector<ByteRange> split(AlignedText& text) const;

 private:
  std::vector<std::shared_ptr<const Step>> steps_;
  bool has_prefix_blank_ = false;
  bool needs_source_ = false;
};

}  // namespace inlay
