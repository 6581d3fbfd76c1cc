// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer_training/train_tokenizer.h"

#include <algorithm>
#include <span>
#include <utility>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "core/io/replaced_input.h"
#include "data/text/regex.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer_training/bpe_trainer.h"
#include "data/tokenizer_training/word_counts.h"

namespace inlay {
namespace {

constexpr const char* kTokenizerFile = "tokenizer.json";
constexpr const char* kConfigFile = "tokenizer_config.json";
constexpr i64 kBytes = 256;
/// Ten times the largest there are.
constexpr i64 kMaxVocabSize = 4'000'000;

/// All special tokens, each once, in the order of their ids.
std::vector<std::string> special_tokens_of(const TokenizerTrainingOptions& options) {
  std::vector<std::string> all;
  const auto add = [&](const std::string& token) {
    if (token.empty()) {
      throw ConfigError("a special token must have a text");
    }
    const i64 valid = valid_utf8_length(token);
    if (valid != static_cast<i64>(token.size())) {
      throw ConfigError(str("byte ", valid, " of a special token is not UTF-8"));
    }
    if (const auto bytes = from_byte_letters(token); bytes && bytes->size() == 1) {
      throw ConfigError(str("\"", printable(token),
                            "\" is a letter of the alphabet that bytes are spelt in, and cannot "
                            "be a special token"));
    }
    if (std::ranges::find(all, token) == all.end()) {
      all.push_back(token);
    }
  };
  for (const std::string& token : options.special_tokens) {
    add(token);
  }
  for (const std::string& token : {options.roles.bos, options.roles.eos, options.roles.pad}) {
    if (!token.empty()) {
      add(token);
    }
  }
  return all;
}

void check_vocab_size(i64 vocab_size, i64 special_tokens) {
  const i64 least = kBytes + special_tokens;
  if (vocab_size < least || vocab_size > kMaxVocabSize) {
    throw ConfigError(str("the vocabulary must have from ", least, " tokens (", kBytes,
                          " bytes and ", special_tokens,
                          special_tokens == 1 ? " special token" : " special tokens", ") to ",
                          kMaxVocabSize, ", not ", vocab_size));
  }
}

void check_place(const TokenizerTrainingOptions& options) {
  std::vector<CommandInput> inputs;
  for (const std::string& file : options.files) {
    inputs.push_back({"the text", file});
  }
  require_inputs_stay(std::span(&options.out, 1), inputs, "choose another --out");
  const FileInfo info = file_system().info(options.out);
  if (info.kind == FileKind::kNone && !info.link) {
    return;
  }
  if (info.kind != FileKind::kDirectory) {
    throw ConfigError(str(options.out, ": already there, and not a folder; choose another --out"));
  }
  const std::vector<std::string> names = file_system().list(options.out);
  for (const std::string& name : names) {
    if (name != kTokenizerFile && name != kConfigFile) {
      throw ConfigError(str(options.out, ": already there, and its ", printable(name),
                            " is no file of a tokenizer that was trained here; choose another "
                            "--out"));
    }
  }
  if (!names.empty() && !options.overwrite) {
    throw ConfigError(str(options.out, ": already there (--overwrite replaces it)"));
  }
}

}  // namespace

TokenizerTrainingReport train_tokenizer(const TokenizerTrainingOptions& options) {
  const BpeTrainerOptions training = {.vocab_size = options.vocab_size,
                                      .min_frequency = options.min_frequency,
                                      .special_tokens = special_tokens_of(options)};
  check_vocab_size(training.vocab_size, static_cast<i64>(training.special_tokens.size()));
  check_place(options);
  PreTokenizer splitter;
  splitter.add_split(Regex(expression_of(options.pattern)), SplitBehavior::kIsolated);
  WordCounter counter(splitter);
  TokenizerTrainingReport report;
  for (const std::string& file : options.files) {
    const CorpusSize size =
        read_corpus(file, [&](std::string text) { counter.add(std::move(text)); });
    report.corpus.texts += size.texts;
    report.corpus.bytes += size.bytes;
  }
  const WordCounts& words = counter.counts();
  if (words.words().empty()) {
    throw DataError(str(printable(options.files.front(), 300),
                        options.files.size() == 1 ? "" : " and the other files",
                        ": there is no text to train a tokenizer on"));
  }
  const TrainedBpe trained = train_bpe(words, training);
  AtomicDirectory folder(options.out, {.replace = options.overwrite});
  write_file(join_path(folder.path(), kTokenizerFile),
             tokenizer_json(trained, training.special_tokens, options.roles, options.pattern));
  write_file(join_path(folder.path(), kConfigFile), tokenizer_config_json(options.roles));
  folder.commit();
  report.words = static_cast<i64>(words.words().size());
  report.vocab_size = static_cast<i64>(trained.pieces.size());
  report.merges = static_cast<i64>(trained.merges.size());
  report.tokens = trained.tokens;
  return report;
}

}  // namespace inlay
