// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/gguf_tokens.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// Values of tokenizer.ggml.token_type. 0 undefined, 1 normal, 5 unused and 6 byte are pieces like
/// any other, and so are numbers that mean nothing.
enum TokenType : i64 { kUnknown = 2, kControl = 3, kUserDefined = 4, kLastType = 6 };

/// Texts that end a turn or a text wherever they are a token.
constexpr std::array<std::string_view, 33> kEnds = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
    // What ends code that is filled in: padding, and the next repository or file.
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<reponame>",
    "<fim-repo>",
    "<REPO>",
};

/// Texts of other control tokens: those around code that is filled in.
constexpr std::array<std::string_view, 21> kMarks = {
    "<|fim_prefix|>",  "<fim-prefix>", "<fim_prefix>",    "<｜fim▁begin｜>", "<PRE>",
    "<|code_prefix|>", "<|prefix|>",   "<|fim_suffix|>",  "<fim-suffix>",    "<fim_suffix>",
    "<｜fim▁hole｜>",  "<SUF>",        "<|code_suffix|>", "<|suffix|>",      "<|fim_middle|>",
    "<fim-middle>",    "<fim_middle>", "<｜fim▁end｜>",   "<MID>",           "<|code_middle|>",
    "<|middle|>",
};

bool is_one_of(const auto& texts, std::string_view text) {
  return std::ranges::find(texts, text) != texts.end();
}

class RoleReader {
 public:
  RoleReader(const GgufTokenizerData& data, const std::string& file)
      : data_(data), prefix_(file + ": tokenizer.ggml.token_type: ") {}

  GgufTokenRoles read() {
    read_types();
    // A model without control tokens of its own may name an ordinary piece (a newline, say) as its
    // end: that stays text where text can come to it.
    for (const auto& id : {data_.bos_id, data_.eos_id, data_.eot_id, data_.eom_id}) {
      if (is_token(id) && !can_be_merged(data_.tokens[*id])) {
        make_control(*id);
      }
    }
    for (const auto& id :
         {data_.eot_id, data_.eom_id, data_.fim_pad_id, data_.fim_rep_id, data_.fim_sep_id}) {
      if (is_token(id)) {
        add_end(*id);
      }
    }
    for (i64 id = 0; id < static_cast<i64>(data_.tokens.size()); ++id) {
      if (is_one_of(kEnds, data_.tokens[id])) {
        make_control(id);
        add_end(id);
      } else if (is_one_of(kMarks, data_.tokens[id])) {
        make_control(id);
      }
    }
    // After all ends are found, for each exception is told by which others there are.
    take_back_ends();
    note_changes();
    return std::move(roles_);
  }

 private:
  void read_types() {
    const std::size_t count = data_.tokens.size();
    const std::vector<i64>& types = data_.token_types;
    if (!types.empty() && types.size() < count) {
      throw DataError(str(prefix_, "has ", types.size(), " elements for ", count, " tokens"));
    }
    roles_.kinds.assign(count, GgufTokenKind::kNormal);
    for (std::size_t id = 0; id < std::min(count, types.size()); ++id) {
      const i64 type = types[id];
      if (type == kControl || type == kUnknown) {
        roles_.kinds[id] = GgufTokenKind::kControl;
      } else if (type == kUserDefined) {
        roles_.kinds[id] = GgufTokenKind::kUserDefined;
      } else if ((type < 0 || type > kLastType) && roles_.notes.empty()) {
        roles_.notes.push_back(str(prefix_, "element ", id, ": ", type,
                                   " is not a type; it is read as a piece like any other"));
      }
    }
  }

  bool is_token(const std::optional<i64>& id) const {
    return id && *id >= 0 && *id < static_cast<i64>(data_.tokens.size());
  }

  /// Whether a text without control tokens may come to `piece`: a letter, or what a merge makes.
  bool can_be_merged(std::string_view piece) const {
    if (piece.empty() || code_point_at(piece, 0).length == static_cast<i64>(piece.size())) {
      return true;
    }
    return std::ranges::any_of(data_.merges, [&](std::string_view merge) {
      const auto blank = merge.find(' ', 1);
      return merge.size() == piece.size() + 1 && blank != std::string_view::npos &&
             piece.starts_with(merge.substr(0, blank)) &&
             piece.substr(blank) == merge.substr(blank + 1);
    });
  }

  void make_control(i64 id) {
    if (roles_.kinds[id] != GgufTokenKind::kControl) {
      roles_.kinds[id] = GgufTokenKind::kControl;
      changed_.push_back(id);
    }
  }

  void add_end(i64 id) {
    if (std::ranges::count(roles_.end_ids, id) == 0) {
      roles_.end_ids.push_back(static_cast<i32>(id));
    }
  }

  i32 end_with_text(std::string_view text) const {
    const auto found =
        std::ranges::find_if(roles_.end_ids, [&](i32 id) { return data_.tokens[id] == text; });
    return found == roles_.end_ids.end() ? -1 : *found;
  }

  /// In the formats of gpt-oss and Solar `<|end|>` only ends a message, and where Gemma's
  /// `<|tool_response>` is a token, `</s>` is a piece of HTML.
  void take_back_ends() {
    const bool calls = end_with_text("<|call|>") >= 0 || end_with_text("<|calls|>") >= 0;
    const bool returns = end_with_text("<|return|>") >= 0 || end_with_text("<|flush|>") >= 0;
    if (const i32 id = end_with_text("<|end|>"); id >= 0 && calls && returns) {
      std::erase(roles_.end_ids, id);
      roles_.kinds[id] = GgufTokenKind::kUserDefined;
    }
    if (const i32 id = end_with_text("</s>"); id >= 0 && end_with_text("<|tool_response>") >= 0) {
      std::erase(roles_.end_ids, id);
      roles_.kinds[id] = GgufTokenKind::kNormal;
    }
    std::erase_if(changed_, [&](i64 id) { return roles_.kinds[id] != GgufTokenKind::kControl; });
  }

  void note_changes() {
    if (changed_.empty()) {
      return;
    }
    const std::string first = str(prefix_, "\"", printable(data_.tokens[changed_.front()]), "\" (",
                                  changed_.front(), ") ");
    const std::size_t others = changed_.size() - 1;
    roles_.notes.push_back(others == 0
                               ? first + "is not typed as a control token, but is read as one"
                               : str(first, "and ", others, others == 1 ? " other" : " others",
                                     " are not typed as control tokens, but are read as such"));
  }

  const GgufTokenizerData& data_;
  const std::string prefix_;
  GgufTokenRoles roles_;
  std::vector<i64> changed_;
};

}  // namespace

GgufTokenRoles gguf_token_roles(const GgufTokenizerData& data, const std::string& file) {
  return RoleReader(data, file).read();
}

}  // namespace inlay
