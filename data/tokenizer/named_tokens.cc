// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/named_tokens.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "core/config/json.h"
#include "core/io/file_system.h"
#include "data/tokenizer/json_view.h"

namespace inlay {
namespace {

/// The names every tokenizer may have, in the order in which new tokens are numbered.
constexpr std::array<std::string_view, 7> kStandardNames = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

bool is_standard(std::string_view name) {
  return std::ranges::count(kStandardNames, name) != 0;
}

/// A token as a file names it.
struct NamedToken {
  AddedToken token;
  std::string place;  // "tokenizer_config.json: /eos_token"
};

/// A token with flags, {"content": "</s>", "lstrip": false, …}. Those that are left out are false,
/// but for `normalized`, which a special token is not and any other is.
NamedToken flagged_token(const JsonView& json, bool special) {
  NamedToken named{.token = {.content = json.string_or("content", ""),
                             .single_word = json.boolean_or("single_word", false),
                             .lstrip = json.boolean_or("lstrip", false),
                             .rstrip = json.boolean_or("rstrip", false),
                             .special = special || json.boolean_or("special", false)},
                   .place = json.path()};
  named.token.normalized = json.boolean_or("normalized", !named.token.special);
  return named;
}

/// "</s>", which is special, or an object with flags. One that Transformers wrote has a type, and
/// then says of itself whether it is special.
NamedToken token_of(const JsonView& json) {
  if (json.is_object()) {
    return flagged_token(json, !json.find("__type").has_value());
  }
  return {.token = {.content = json.string(), .special = true}, .place = json.path()};
}

/// A JSON file beside the tokenizer. Its keys are wanted in the order of the file, in which new
/// tokens are numbered, so it is parsed once more for that.
class NameFile {
 public:
  static std::optional<NameFile> open(const std::string& directory, const std::string& name) {
    const std::string path = join_path(directory, name);
    constexpr i64 kMaxBytes = i64{64} << 20;
    return is_file(path) ? std::optional(NameFile(path, file_system().read(path, kMaxBytes)))
                         : std::nullopt;
  }

  JsonView root() const { return {json_, path_}; }

  /// The keys of the object at `pointer`, in order.
  std::vector<std::string> keys(const std::string& pointer = "") const {
    std::vector<std::string> keys;
    for (const auto& [key, value] :
         ordered_[nlohmann::ordered_json::json_pointer(pointer)].items()) {
      keys.push_back(key);
    }
    return keys;
  }

 private:
  NameFile(std::string path, const std::string& text)
      : path_(std::move(path)),
        json_(parse_json(text, path_)),
        ordered_(parse_ordered_json(text, path_)) {}

  std::string path_;
  nlohmann::json json_;
  nlohmann::ordered_json ordered_;
};

/// The tokens by name, and those of the lists, as Transformers puts them together from the files.
class Names {
 public:
  explicit Names(const TokenDefaults& defaults) {
    for (const auto& [name, text] : defaults.named) {
      standard_.emplace(name, NamedToken{.token = {.content = text, .special = true},
                                         .place = str(defaults.file, ": ", name)});
    }
  }

  /// The names of tokenizer_config.json.
  void read_config(const NameFile& file) {
    read_names(file, own_);
    const JsonView root = file.root();
    const auto additional = root.find("additional_special_tokens");
    const auto extra = root.find("extra_special_tokens");
    if (extra && extra->is_object()) {
      read_object(file, *extra);
    }
    if (additional && (!extra || extra->size() == 0)) {
      extra_ = list_of(*additional);
      return;
    }
    if (additional) {
      additional_ = list_of(*additional);
    }
    if (extra && extra->is_array()) {
      extra_ = list_of(*extra);
    }
  }

  /// Those of special_tokens_map.json, which override them.
  void read_map(const NameFile& file) {
    read_names(file, found_);
    const JsonView root = file.root();
    if (const auto additional = root.find("additional_special_tokens")) {
      additional_ = list_of(*additional);
    }
    if (const auto extra = root.find("extra_special_tokens"); extra && extra->is_object()) {
      extra_.reset();
      read_object(file, *extra);
    } else if (extra) {
      const std::vector<NamedToken> more = list_of(*extra);
      extra_ = extra_.value_or(std::vector<NamedToken>());
      extra_->insert(extra_->end(), more.begin(), more.end());
    }
  }

  /// By name; first the standard ones.
  std::vector<NamedToken> named() const {
    std::vector<NamedToken> all;
    for (const std::string_view name : kStandardNames) {
      if (const NamedToken* token = standard(name)) {
        all.push_back(*token);
      }
    }
    for (const auto& [name, token] : found_) {
      const NamedToken* own = find(own_, name);
      all.push_back(own == nullptr ? token : *own);
    }
    for (const auto& [name, token] : own_) {
      if (find(found_, name) == nullptr) {
        all.push_back(token);
      }
    }
    return all;
  }

  const NamedToken* standard(std::string_view name) const {
    const auto found = standard_.find(name);
    return found == standard_.end() ? nullptr : &found->second;
  }

  /// Special tokens without a name. A list under the older key counts only where the newer has
  /// none.
  const std::vector<NamedToken>& unnamed() const {
    static const std::vector<NamedToken> none;
    return extra_ ? *extra_ : additional_ ? *additional_ : none;
  }
  bool is_in_extra(std::string_view content) const {
    return extra_ && std::ranges::any_of(*extra_, [&](const NamedToken& named) {
             return named.token.content == content;
           });
  }

 private:
  using Ordered = std::vector<std::pair<std::string, NamedToken>>;

  /// `texts`: where a text under a name of the model's own goes.
  void read_names(const NameFile& file, Ordered& texts) {
    const JsonView root = file.root();
    for (const std::string& key : file.keys()) {
      const auto value = root.find(key);
      if (is_standard(key)) {
        standard_.erase(key);
        if (value) {
          standard_.emplace(key, token_of(*value));
        }
      } else if (value && key.ends_with("_token") && value->is_object()) {
        set(found_, key, token_of(*value));
      } else if (value && key.ends_with("_token") && value->is_string()) {
        set(texts, key, token_of(*value));
      }
    }
  }

  void read_object(const NameFile& file, const JsonView& tokens) {
    for (const std::string& key : file.keys("/extra_special_tokens")) {
      set(own_, key, token_of(tokens.at(key)));
    }
  }

  static std::vector<NamedToken> list_of(const JsonView& json) {
    std::vector<NamedToken> tokens;
    json.each_element([&](const JsonView& element) { tokens.push_back(token_of(element)); });
    return tokens;
  }

  static const NamedToken* find(const Ordered& tokens, std::string_view name) {
    const auto found =
        std::ranges::find_if(tokens, [&](const auto& entry) { return entry.first == name; });
    return found == tokens.end() ? nullptr : &found->second;
  }

  static void set(Ordered& tokens, const std::string& name, NamedToken token) {
    std::erase_if(tokens, [&](const auto& entry) { return entry.first == name; });
    tokens.emplace_back(name, std::move(token));
  }

  std::map<std::string, NamedToken, std::less<>> standard_;
  // Under the model's own names: texts of tokenizer_config.json and named extra tokens; and objects
  // and what the map has, which are numbered first, but do not override those.
  Ordered own_;
  Ordered found_;
  std::optional<std::vector<NamedToken>> extra_;
  std::optional<std::vector<NamedToken>> additional_;
};

class NamedTokensReader {
 public:
  NamedTokensReader(const std::string& directory, TokenizerParts& parts,
                    const TokenDefaults& defaults)
      : directory_(directory), parts_(parts), defaults_(defaults), names_(defaults) {}

  void read() {
    read_files();
    named_ = names_.named();
    for (const auto& [id, named] : added_) {
      add(named, id);
    }
    std::set<std::string> known;
    for (const AddedToken& token : parts_.added.tokens()) {
      known.insert(token.content);
    }
    add_new(named_, known);
    add_new(names_.unnamed(), known);
    parts_.added_tokens = AddedTokens(parts_.added.tokens(), parts_.normalizer);
    const auto id_of = [&](std::string_view name) -> std::optional<i32> {
      const NamedToken* named = names_.standard(name);
      return named == nullptr ? std::nullopt : parts_.vocabulary.find(named->token.content);
    };
    parts_.bos_id = id_of("bos_token");
    parts_.eos_id = id_of("eos_token");
    parts_.pad_id = id_of("pad_token");
    parts_.unk_id = parts_.unk_id ? parts_.unk_id : id_of("unk_token");
  }

 private:
  void read_files() {
    if (const auto config = NameFile::open(directory_, "tokenizer_config.json")) {
      names_.read_config(*config);
      if (const auto decoder = config->root().find("added_tokens_decoder")) {
        read_decoder(*decoder);
        return;
      }
    }
    if (const auto map = NameFile::open(directory_, "special_tokens_map.json")) {
      names_.read_map(*map);
    }
    if (const auto added = NameFile::open(directory_, "added_tokens.json")) {
      read_added_tokens(added->root());
    }
    // Once more, over those of added_tokens.json, as their names may make them special.
    for (const AddedToken& token : parts_.added.tokens()) {
      added_.insert_or_assign(token.id, NamedToken{.token = token, .place = defaults_.file});
    }
  }

  /// {"2": {"content": "<|im_end|>", "lstrip": false, …}, …}
  void read_decoder(const JsonView& json) {
    json.each_member([&](const std::string& id, const JsonView& token) {
      if (!token.is_object()) {
        token.fail("expected an object with the token's content and flags");
      }
      NamedToken named = flagged_token(token, false);
      named.token.normalized = named.token.normalized && !defaults_.all_raw;
      added_.insert_or_assign(token.blame([&] { return id_of_key(id); }), std::move(named));
    });
  }

  /// {"<tool>": 1200, …}, of which those are special that have a name.
  void read_added_tokens(const JsonView& json) {
    json.each_member([&](const std::string& content, const JsonView& id) {
      const bool special = is_standard_content(content) || names_.is_in_extra(content);
      added_.insert_or_assign(
          id.integer(),
          NamedToken{.token = {.content = content, .normalized = !special, .special = special},
                     .place = id.path()});
    });
  }

  static i64 id_of_key(const std::string& key) {
    const bool digits = !key.empty() && key.size() <= 9 &&
                        std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) {
      throw DataError(str("\"", printable(key), "\" is not a token's id"));
    }
    return std::stoll(key);
  }

  bool is_standard_content(std::string_view content) const {
    return std::ranges::any_of(kStandardNames, [&](std::string_view name) {
      const NamedToken* named = names_.standard(name);
      return named != nullptr && named->token.content == content;
    });
  }

  /// Those that are added tokens already keep their flags; of the others the last of a text
  /// decides.
  void add_new(const std::vector<NamedToken>& tokens, const std::set<std::string>& known) {
    for (const NamedToken& named : tokens) {
      if (!known.contains(named.token.content)) {
        add(named, std::nullopt);
      }
    }
  }

  /// `claimed_id`: what a file says.
  void add(const NamedToken& named, std::optional<i64> claimed_id) {
    AddedToken token = named.token;
    token.special = token.special || std::ranges::any_of(named_, [&](const NamedToken& other) {
                      return other.token.content == token.content;
                    });
    const bool known = parts_.vocabulary.find(token.content).has_value();
    const auto id = parts_.added.add(token, parts_.vocabulary);
    if (!id || id == claimed_id) {
      return;
    }
    const std::string text = str(named.place, ": \"", printable(token.content), "\" ");
    if (!known) {
      parts_.notes.push_back(
          str(text, "is not a token of ", defaults_.file, "; it gets the next id, ", *id));
    } else if (claimed_id) {
      parts_.notes.push_back(str(text, "has id ", *id, " in ", defaults_.file,
                                 ", which is followed, not ", *claimed_id));
    }
  }

  const std::string& directory_;
  TokenizerParts& parts_;
  const TokenDefaults& defaults_;
  Names names_;
  std::vector<NamedToken> named_;
  std::map<i64, NamedToken> added_;  // to be added with their flags, by the id that files give them
};

}  // namespace

void read_named_tokens(const std::string& directory, TokenizerParts& parts,
                       const TokenDefaults& defaults) {
  NamedTokensReader(directory, parts, defaults).read();
}

}  // namespace inlay
