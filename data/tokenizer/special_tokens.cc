// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/special_tokens.h"

#include <algorithm>
#include <optional>

#include "core/io/file_system.h"
#include "data/tokenizer/json_view.h"
#include "data/tokenizer/named_tokens.h"

namespace inlay {
namespace {

/// A special token of the tokenizer: its name in the files and its place in the parts.
struct Role {
  std::string_view name;  // "eos"
  std::optional<i32> TokenizerParts::*id;
};

constexpr Role kRoles[] = {{"bos", &TokenizerParts::bos_id},
                           {"pad", &TokenizerParts::pad_id},
                           {"unk", &TokenizerParts::unk_id}};

class Reader {
 public:
  Reader(const std::string& directory, TokenizerParts& parts, const TokenDefaults& defaults)
      : directory_(directory), parts_(parts), defaults_(defaults) {}

  void read() {
    // From the file nearest to the tokenizer to the one furthest: what an earlier one says stands,
    // and read_ids() only fills what is missing.
    read_named_tokens(directory_, parts_, defaults_);
    with_json_file(directory_, "tokenizer_config.json", [&](const JsonView& root) {
      if (defaults_.put_around_by_flags) {
        put_around(root, "add_bos_token", parts_.bos_id, parts_.prefix);
        put_around(root, "add_eos_token", parts_.eos_id, parts_.suffix);
      }
      compare_flags(root);
    });
    with_json_file(directory_, "generation_config.json",
                   [&](const JsonView& root) { read_ids(root); });
    with_json_file(directory_, "config.json", [&](const JsonView& root) {
      read_ids(root);
      // The language model of one that also sees or hears.
      if (const auto text = root.find("text_config"); text && text->is_object()) {
        read_ids(*text);
      }
    });
  }

 private:
  static void put_around(const JsonView& root, std::string_view key, std::optional<i32> id,
                         std::vector<i32>& side) {
    if (!root.boolean_or(key, false)) {
      return;
    }
    if (!id) {
      root.at(key).fail("is true, but there is no such token");
    }
    side.push_back(*id);
  }

  /// "eos_token_id": 2, or [2, 32000]. Ids without a token are left out: some models write -1.
  std::vector<i32> ids_of(const JsonView& root, const std::string& key) {
    std::vector<i32> ids;
    const auto add = [&](const JsonView& json) {
      const i64 id = json.integer();
      if (id >= 0 && id < parts_.vocabulary.id_end() &&
          parts_.vocabulary.piece(static_cast<i32>(id)) != nullptr) {
        if (std::count(ids.begin(), ids.end(), id) == 0) {
          ids.push_back(static_cast<i32>(id));
        }
      } else {
        parts_.notes.push_back(
            str(json.path(), ": there is no token with id ", id, "; it is not used"));
      }
    };
    if (const auto value = root.find(key)) {
      if (value->is_array()) {
        value->each_element(add);
      } else {
        add(*value);
      }
    }
    return ids;
  }

  void read_ids(const JsonView& root) {
    for (const Role& role : kRoles) {
      if (!(parts_.*role.id)) {
        const std::vector<i32> ids = ids_of(root, str(role.name, "_token_id"));
        if (!ids.empty()) {
          parts_.*role.id = ids[0];
        }
      }
    }
    if (parts_.eos_ids.empty()) {
      parts_.eos_ids = ids_of(root, "eos_token_id");
    }
    if (!parts_.eos_id && !parts_.eos_ids.empty()) {
      parts_.eos_id = parts_.eos_ids[0];
    }
  }

  void compare_flags(const JsonView& root) {
    const auto has = [](const std::vector<i32>& ids, const std::optional<i32>& id) {
      return id && std::count(ids.begin(), ids.end(), *id) != 0;
    };
    compare_flag(root, "add_bos_token", has(parts_.prefix, parts_.bos_id));
    compare_flag(root, "add_eos_token", has(parts_.suffix, parts_.eos_id));
    // Of SentencePiece's pieces it is an old spelling, which newer files keep beside what counts.
    if (parts_.is_byte_level) {
      compare_flag(root, "add_prefix_space", parts_.pre_tokenizer.has_prefix_blank());
    }
    if (const auto split = root.find("split_special_tokens"); split && split->boolean()) {
      parts_.split_special_tokens = true;
      parts_.notes.push_back(str(split->path(),
                                 ": is true, so the texts of special tokens are cut into letters "
                                 "everywhere, in chat templates, too"));
    }
  }

  void compare_flag(const JsonView& root, const std::string& name, bool followed) {
    const auto flag = root.find(name);
    if (flag && flag->boolean() != followed) {
      parts_.notes.push_back(str(flag->path(), ": is ", flag->boolean() ? "true" : "false",
                                 ", but ", defaults_.file, ", which is followed, says ",
                                 followed ? "true" : "false"));
    }
  }

  const std::string& directory_;
  TokenizerParts& parts_;
  const TokenDefaults& defaults_;
};

}  // namespace

void read_special_tokens(const std::string& directory, TokenizerParts& parts,
                         const TokenDefaults& defaults) {
  Reader(directory, parts, defaults).read();
}

}  // namespace inlay
