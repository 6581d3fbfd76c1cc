// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/parallel.h"
#include "data/tokenizer_training/train_tokenizer.h"

namespace inlay {
namespace {

// What GPT-2 ends a text with; pretrained vocabularies of this kind have it, or one like it.
constexpr const char* kEndOfText = "<|endoftext|>";

void print_report(const TokenizerTrainingOptions& options, const TokenizerTrainingReport& report,
                  bool json) {
  const double bytes_per_token =
      static_cast<double>(report.corpus.bytes) / static_cast<double>(report.tokens);
  if (json) {
    const nlohmann::ordered_json out = {
        {"out", options.out},           {"vocab_size", report.vocab_size},
        {"merges", report.merges},      {"texts", report.corpus.texts},
        {"bytes", report.corpus.bytes}, {"words", report.words},
        {"tokens", report.tokens},      {"bytes_per_token", bytes_per_token}};
    std::puts(out.dump(2, ' ', false, decltype(out)::error_handler_t::replace).c_str());
    return;
  }
  std::printf(
      "%ld texts, %ld bytes, %ld different words: %ld tokens by %ld merges; a token stands for "
      "%.2f "
      "bytes of them\nwritten: %s\n",
      static_cast<long>(report.corpus.texts), static_cast<long>(report.corpus.bytes),
      static_cast<long>(report.words), static_cast<long>(report.vocab_size),
      static_cast<long>(report.merges), bytes_per_token, options.out.c_str());
}

int tokenizer_train(std::span<const std::string> arguments) {
  TokenizerTrainingOptions options;
  std::string eos = kEndOfText;
  bool json = false;
  Arguments args("inlay tokenizer train",
                 "Trains a byte-level BPE tokenizer on one's own text and writes the files that "
                 "Hugging Face's libraries load, too.");
  args.positional("FILE", options.files,
                  "the text: rows of .jsonl and .json files, the lines of any other")
      .required()
      .option("-V,--vocab-size", options.vocab_size,
              "tokens in all, the 256 bytes and the special ones included")
      .required()
      .option("-o,--out", options.out, "folder to write")
      .required()
      .option("--min-frequency", options.min_frequency,
              "do not merge pairs that stand in the text less often (default: 0)")
      .choice("--pattern", options.pattern,
              "how texts are cut into words: gpt2, llama3 (digits by threes) or qwen2 (one by one)")
      .option("--special-token", options.special_tokens,
              "a special token, which no text is cut into otherwise; again for the next. The first "
              "ids are theirs, in this order")
      .option("--eos-token", eos, "ends a text (default: <|endoftext|>; \"\" for none)")
      .option("--bos-token", options.roles.bos,
              "begins a text, and is put in front of each that is encoded (default: none)")
      .option("--pad-token", options.roles.pad, "fills up batches (default: none)")
      .flag("--overwrite", options.overwrite, "replace a tokenizer that is there")
      .flag("--json", json, "print the result as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  require_at_least("--min-frequency", options.min_frequency, 0);
  options.roles.eos = eos;
  set_num_threads(available_processors());
  const TokenizerTrainingReport report = train_tokenizer(options);
  if (report.vocab_size < options.vocab_size) {
    print_notice(str("the text has pairs to merge for no more than ", report.vocab_size,
                     " tokens, not for ", options.vocab_size));
  }
  print_report(options, report, json);
  return 0;
}

}  // namespace

int run_tokenizer(std::span<const std::string> arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    std::puts(
        "Makes tokenizers.\n\nUsage: inlay tokenizer COMMAND [OPTIONS]\n\nCommands:\n  train    "
        "train a byte-level BPE tokenizer on one's own text");
    return arguments.empty() ? static_cast<int>(ExitCode::kUsage) : 0;
  }
  if (arguments[0] != "train") {
    throw ConfigError(str("tokenizer: unknown command \"", printable(arguments[0]), "\"",
                          did_you_mean(arguments[0], std::vector<std::string>{"train"}),
                          "; there is: train"));
  }
  return tokenizer_train(arguments.subspan(1));
}

}  // namespace inlay
