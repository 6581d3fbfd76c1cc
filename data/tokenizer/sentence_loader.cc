// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/sentence_loader.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"
#include "data/text/utf8.h"
#include "data/tokenizer/character_bpe.h"
#include "data/tokenizer/charsmap.h"
#include "data/tokenizer/decode_steps.h"
#include "data/tokenizer/json_view.h"
#include "data/tokenizer/normalizer_steps.h"
#include "data/tokenizer/sentence_model.h"
#include "data/tokenizer/unigram.h"

namespace inlay {
namespace {

constexpr const char* kBlank = "\u2581";  // what stands for a blank in pieces
constexpr i64 kMaxFileBytes = i64{1} << 30;

enum class Class { kLlama, kGemma, kT5, kGeneric };

/// What the files beside the model say that concerns it.
struct Settings {
  std::string tokenizer_class;  // without the ending "Fast"
  std::string model_type;
  bool legacy_is_set = false;
  bool legacy = false;
  bool add_prefix_space = true;
  i64 extra_ids = 100;
  std::map<i64, std::string> texts;  // of added_tokens_decoder, by id
};

std::string without_fast(std::string name) {
  if (name.ends_with("Fast")) {
    name.resize(name.size() - 4);
  }
  return name;
}

Settings read_settings(const std::string& directory) {
  Settings settings;
  with_json_file(directory, "config.json", [&](const JsonView& root) {
    settings.model_type = root.string_or("model_type", "");
    settings.tokenizer_class = without_fast(root.string_or("tokenizer_class", ""));
  });
  with_json_file(directory, "tokenizer_config.json", [&](const JsonView& root) {
    settings.tokenizer_class =
        without_fast(root.string_or("tokenizer_class", settings.tokenizer_class));
    settings.legacy_is_set = root.find("legacy").has_value();
    settings.legacy = root.boolean_or("legacy", false);
    settings.add_prefix_space = root.boolean_or("add_prefix_space", true);
    if (const auto count = root.find("extra_ids")) {
      settings.extra_ids = count->integer();
      if (settings.extra_ids < 0 || settings.extra_ids > 100'000) {
        count->fail(str(settings.extra_ids, " is out of range; it must be from 0 to 100000"));
      }
    }
    if (const auto added = root.find("added_tokens_decoder")) {
      added->each_member([&](const std::string& id, const JsonView& token) {
        if (!id.empty() && id.size() < 10 && id.find_first_not_of("0123456789") == id.npos) {
          settings.texts.emplace(std::stoll(id), token.string_or("content", ""));
        }
      });
    }
  });
  return settings;
}

/// Models for which Transformers follows the file, whatever class is named.
constexpr std::string_view kGenericModels[] = {"arctic",
                                               "ernie4_5",
                                               "ernie4_5_moe",
                                               "flex_olmo",
                                               "glm",
                                               "glm4",
                                               "granite",
                                               "granitemoe",
                                               "granitemoehybrid",
                                               "granitemoeshared",
                                               "h2ovl_chat",
                                               "internlm2",
                                               "internlm3",
                                               "jamba",
                                               "minicpm3",
                                               "ministral",
                                               "ministral3",
                                               "mistral",
                                               "mistral3",
                                               "mixtral",
                                               "nemotron",
                                               "olmo2",
                                               "olmo3",
                                               "persimmon",
                                               "phi3",
                                               "phimoe",
                                               "stablelm"};
constexpr std::string_view kGemmaModels[] = {"gemma",           "gemma2",  "gemma3",
                                             "gemma3_text",     "gemma3n", "gemma3n_text",
                                             "recurrent_gemma", "t5gemma"};
constexpr std::string_view kT5Models[] = {"t5", "mt5", "switch_transformers"};

Class class_of(const Settings& settings, const std::string& file) {
  const auto is_one_of = [&](std::span<const std::string_view> models) {
    return std::ranges::count(models, settings.model_type) != 0;
  };
  if (is_one_of(kGenericModels)) {
    return Class::kGeneric;
  }
  const std::string& name = settings.tokenizer_class;
  if (name == "LlamaTokenizer") {
    return Class::kLlama;
  }
  if (name == "GemmaTokenizer" || (name.empty() && is_one_of(kGemmaModels))) {
    return Class::kGemma;
  }
  if (name == "T5Tokenizer" || (name.empty() && is_one_of(kT5Models))) {
    return Class::kT5;
  }
  if (name.empty() || name == "PreTrainedTokenizer" || name == "TokenizersBackend") {
    return Class::kGeneric;
  }
  throw DataError(str(file, ": tokenizer_class \"", printable(name),
                      "\" is not supported without a tokenizer.json; supported are "
                      "LlamaTokenizer, GemmaTokenizer, T5Tokenizer and PreTrainedTokenizerFast"));
}

i64 code_points(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; });
}

/// Matches each of `texts`, the longest first.
Regex any_of(std::vector<std::string> texts) {
  std::ranges::stable_sort(texts, std::ranges::greater(), code_points);
  std::string pattern;
  for (const std::string& text : texts) {
    pattern += pattern.empty() ? "" : "|";
    for (const char c : text) {
      pattern += std::string_view("\\^$.[]|()?*+{}").find(c) == std::string_view::npos
                     ? std::string(1, c)
                     : std::string{'\\', c};
    }
  }
  return Regex(pattern);
}

class SentenceLoader {
 public:
  SentenceLoader(SentenceModel model, Settings settings, Class tokenizer_class,
                 const std::string& file)
      : model_(std::move(model)),
        settings_(std::move(settings)),
        class_(tokenizer_class),
        file_(file) {}

  SentenceTokenizer load() {
    check_algorithm();
    defaults_.file = base_name(file_);
    defaults_.put_around_by_flags = true;
    name_pieces();
    switch (class_) {
      case Class::kLlama:
        read_llama();
        break;
      case Class::kGemma:
        read_gemma();
        break;
      case Class::kT5:
        read_t5();
        break;
      case Class::kGeneric:
        read_generic();
        break;
    }
    add_tokens();
    return {std::move(parts_), std::move(defaults_)};
  }

 private:
  using Algorithm = SentenceModel::Algorithm;

  bool is_bpe() const { return model_.algorithm == Algorithm::kBpe; }

  void check_algorithm() const {
    const bool fits = class_ == Class::kGeneric || is_bpe() == (class_ != Class::kT5);
    if (!fits) {
      throw DataError(str(file_, ": is a ", is_bpe() ? "BPE" : "Unigram", " model, but ",
                          settings_.tokenizer_class, " reads ", is_bpe() ? "Unigram" : "BPE"));
    }
  }

  /// The vocabulary. Placeholders of the file have the names that added_tokens_decoder gives them,
  /// where Transformers follows the file.
  void name_pieces() {
    if (class_ == Class::kGeneric && is_bpe()) {
      std::set<std::string_view> kept;
      for (std::size_t id = 0; id < model_.pieces.size(); ++id) {
        if (!settings_.texts.contains(static_cast<i64>(id))) {
          kept.insert(model_.pieces[id].text);
        }
      }
      for (const auto& [id, text] : settings_.texts) {
        if (id < static_cast<i64>(model_.pieces.size()) && !text.empty() && !kept.contains(text)) {
          model_.pieces[static_cast<std::size_t>(id)].text = text;
        }
      }
    }
    parts_.vocabulary.reserve(static_cast<i64>(model_.pieces.size()));
    for (std::size_t id = 0; id < model_.pieces.size(); ++id) {
      parts_.vocabulary.add_or_repeat(model_.pieces[id].text, static_cast<i64>(id));
    }
  }

  void read_llama() {
    defaults_.named = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
    const PrependScheme scheme = !settings_.add_prefix_space ? PrependScheme::kNever
                                 : settings_.legacy          ? PrependScheme::kAlways
                                                             : PrependScheme::kFirst;
    parts_.pre_tokenizer.add_metaspace(kBlank, scheme);
    std::vector<DecodeStepPtr> steps = {replace_in_pieces(Regex::literal(kBlank), " "),
                                        bytes_of_pieces(), fuse_pieces()};
    if (settings_.add_prefix_space) {
      steps.push_back(strip_pieces(" ", 1, 0));
    }
    parts_.decoder = std::make_unique<StepDecoder>(std::move(steps));
    use_bpe({.fuse_unk = true}, /*byte_fallback=*/true, merges_by_id());
  }

  void read_gemma() {
    defaults_.named = {{"bos_token", "<bos>"},
                       {"eos_token", "<eos>"},
                       {"unk_token", "<unk>"},
                       {"pad_token", "<pad>"},
                       {"mask_token", "<mask>"}};
    parts_.normalizer.add(replace(Regex::literal(" "), kBlank));
    parts_.decoder = std::make_unique<StepDecoder>(std::vector<DecodeStepPtr>{
        replace_in_pieces(Regex::literal(kBlank), " "), bytes_of_pieces(), fuse_pieces()});
    use_bpe({.unk_id = parts_.vocabulary.find("<unk>"), .fuse_unk = true}, /*byte_fallback=*/true,
            merges_by_id());
  }

  void read_t5() {
    defaults_.named = {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
    defaults_.put_around_by_flags = false;
    if (!model_.charsmap.empty()) {
      parts_.normalizer.add(charsmap_of_file());
    }
    parts_.pre_tokenizer.add_split(Regex(R"(\s)"), SplitBehavior::kRemoved);
    parts_.pre_tokenizer.add_metaspace(kBlank, PrependScheme::kAlways);
    parts_.pre_tokenizer.add_split(Regex::literal(kBlank), SplitBehavior::kMergedWithNext);
    parts_.decoder = std::make_unique<StepDecoder>(
        std::vector<DecodeStepPtr>{metaspace_to_blanks(kBlank, /*dropped=*/true)});
    for (i64 i = settings_.extra_ids - 1; i >= 0; --i) {
      const std::string text = str("<extra_id_", i, ">");
      parts_.vocabulary.add_or_repeat(text, static_cast<i64>(model_.pieces.size()));
      model_.pieces.push_back({text, 0.0F, SentencePieceType::kControl});
    }
    parts_.suffix = {required("</s>")};
    use_unigram(required("<unk>"), /*byte_fallback=*/false);
  }

  void read_generic() {
    add_default("bos_token", model_.bos_id, model_.bos_piece);
    add_default("eos_token", model_.eos_id, model_.eos_piece);
    add_default("unk_token", model_.unk_id, model_.unk_piece);
    defaults_.all_raw = model_.add_dummy_prefix;
    normalize_as_the_file_says();
    const bool legacy = settings_.legacy || !settings_.legacy_is_set;
    if (model_.add_dummy_prefix) {
      parts_.pre_tokenizer.add_metaspace(kBlank,
                                         legacy ? PrependScheme::kAlways : PrependScheme::kFirst);
    }
    std::vector<std::string> user_defined;
    for (const SentencePiece& piece : model_.pieces) {
      if (piece.type == SentencePieceType::kUserDefined) {
        user_defined.push_back(piece.text);
      }
    }
    if (!user_defined.empty()) {
      parts_.pre_tokenizer.add_split(any_of(user_defined), SplitBehavior::kIsolated);
    }
    std::vector<DecodeStepPtr> steps = {replace_in_pieces(Regex::literal(kBlank), " ")};
    if (model_.byte_fallback) {
      steps.push_back(bytes_of_pieces());
    }
    if (model_.add_dummy_prefix || model_.byte_fallback) {
      steps.push_back(fuse_pieces());
    }
    if (model_.add_dummy_prefix) {
      steps.push_back(strip_pieces(" ", 1, 0));
    }
    parts_.decoder = std::make_unique<StepDecoder>(std::move(steps));
    if (is_bpe()) {
      use_bpe({.unk_id = parts_.vocabulary.find(model_.unk_piece),
               .fuse_unk = true,
               .ignore_merges = !user_defined.empty()},
              model_.byte_fallback, merges_by_score());
    } else {
      use_unigram(model_.unk_id < 0 ? std::nullopt : std::optional(static_cast<i32>(model_.unk_id)),
                  model_.byte_fallback);
    }
  }

  /// In SentencePiece's order.
  void normalize_as_the_file_says() {
    Normalizer& steps = parts_.normalizer;
    if (!model_.charsmap.empty()) {
      steps.add(charsmap_of_file());
    }
    if (model_.remove_extra_whitespaces) {
      steps.add(replace(Regex(R"(\A +| +\z)"), ""));
      steps.add(replace(Regex(" {2,}"), " "));
    }
    if (model_.escape_whitespaces) {
      steps.add(replace(Regex::literal(" "), kBlank));
    }
    const bool legacy = settings_.legacy || !settings_.legacy_is_set;
    if (model_.add_dummy_prefix && legacy) {
      // The step that puts one in front does not where there is one, and SentencePiece does.
      steps.add(replace(Regex(str("\\A", kBlank)), str(kBlank, kBlank)));
    }
  }

  NormalizerStepPtr charsmap_of_file() const {
    try {
      return charsmap(model_.charsmap);
    } catch (const DataError& error) {
      throw DataError(str(file_, ": ", error.what()));
    }
  }

  void add_default(const char* name, i64 id, const std::string& text) {
    if (id >= 0) {
      defaults_.named.emplace_back(name, text);
    }
  }

  i32 required(std::string_view text) const {
    const auto id = parts_.vocabulary.find(text);
    if (!id) {
      throw DataError(str(file_, ": ", settings_.tokenizer_class, " needs the token \"", text,
                          "\", which the model does not have"));
    }
    return *id;
  }

  /// A merge for each way to cut a piece in two that are pieces.
  struct Merge {
    std::string_view left;
    std::string_view right;
  };
  std::vector<Merge> merges_of(const std::vector<i32>& ids,
                               const std::vector<bool>& may_merge) const {
    const auto is_part = [&](std::string_view text) {
      const auto id = parts_.vocabulary.find(text);
      return id && may_merge[static_cast<std::size_t>(*id)];
    };
    std::vector<Merge> merges;
    for (const i32 id : ids) {
      const std::string_view text = model_.pieces[static_cast<std::size_t>(id)].text;
      for (i64 at = 0; at < static_cast<i64>(text.size());) {
        at += code_point_at(text, at).length;
        const std::size_t cut = static_cast<std::size_t>(at);
        if (cut < text.size() && is_part(text.substr(0, cut)) && is_part(text.substr(cut))) {
          merges.push_back({text.substr(0, cut), text.substr(cut)});
        }
      }
    }
    return merges;
  }

  std::vector<i32> all_ids() const {
    std::vector<i32> ids(model_.pieces.size());
    for (std::size_t id = 0; id < ids.size(); ++id) {
      ids[id] = static_cast<i32>(id);
    }
    return ids;
  }

  std::vector<Merge> merges_by_id() const {
    return merges_of(all_ids(), std::vector<bool>(model_.pieces.size(), true));
  }

  /// Of normal pieces alone.
  std::vector<Merge> merges_by_score() const {
    const auto piece = [&](i32 id) -> const SentencePiece& {
      return model_.pieces[static_cast<std::size_t>(id)];
    };
    std::vector<i32> ids = all_ids();
    std::erase_if(ids, [&](i32 id) { return piece(id).type != SentencePieceType::kNormal; });
    std::vector<bool> normal(model_.pieces.size(), false);
    for (const i32 id : ids) {
      normal[static_cast<std::size_t>(id)] = true;
    }
    std::ranges::stable_sort(ids, std::ranges::greater(), [&](i32 id) { return piece(id).score; });
    return merges_of(ids, normal);
  }

  void use_bpe(const BpeOptions& options, bool byte_fallback, const std::vector<Merge>& merges) {
    auto bpe = std::make_unique<CharacterBpe>(parts_.vocabulary, options, byte_fallback);
    bpe->reserve(static_cast<i64>(merges.size()));
    for (const Merge& merge : merges) {
      bpe->add_merge(parts_.vocabulary, merge.left, merge.right);
    }
    if (auto joined = bpe->joined()) {
      parts_.pre_tokenizer.add_cuts(std::move(joined));
    }
    parts_.model = std::move(bpe);
  }

  void use_unigram(std::optional<i32> unk_id, bool byte_fallback) {
    std::vector<double> scores;
    for (const SentencePiece& piece : model_.pieces) {
      scores.push_back(static_cast<double>(piece.score));
    }
    parts_.model = std::make_unique<Unigram>(parts_.vocabulary, scores, unk_id, byte_fallback);
    parts_.unk_id = unk_id;
  }

  /// Control pieces, which are special, and user-defined ones, which the generic tokenizer cuts out
  /// of the text itself.
  void add_tokens() {
    parts_.added = AddedVocabulary(parts_.vocabulary.size());
    for (const SentencePiece& piece : model_.pieces) {
      const bool control = piece.type == SentencePieceType::kControl;
      const bool user_defined =
          piece.type == SentencePieceType::kUserDefined && class_ != Class::kGeneric;
      if (control || user_defined) {
        parts_.added.add({.content = piece.text, .special = control}, parts_.vocabulary);
      }
    }
    parts_.added_tokens = AddedTokens(parts_.added.tokens(), parts_.normalizer);
  }

  SentenceModel model_;
  Settings settings_;
  Class class_;
  const std::string& file_;
  TokenizerParts parts_;
  TokenDefaults defaults_;
};

}  // namespace

std::optional<std::string> find_sentence_model(const std::string& directory) {
  for (const char* name : {"tokenizer.model", "spiece.model"}) {
    if (std::string path = join_path(directory, name); is_file(path)) {
      return path;
    }
  }
  return std::nullopt;
}

SentenceTokenizer load_sentence_tokenizer(const std::string& directory, const std::string& file) {
  Settings settings = read_settings(directory);
  const Class tokenizer_class = class_of(settings, file);
  return SentenceLoader(parse_sentence_model(file_system().read(file, kMaxFileBytes), file),
                        std::move(settings), tokenizer_class, file)
      .load();
}

}  // namespace inlay
