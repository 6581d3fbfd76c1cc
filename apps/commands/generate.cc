// SPDX-License-Identifier: Apache-2.0
#include "nn/generate.h"

#include <cmath>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <optional>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "apps/model_arguments.h"
#include "apps/signals.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/mapped_files.h"
#include "data/dataset/foreign_file.h"
#include "finetune/bench/timing.h"

namespace inlay {
namespace {

constexpr i64 kMaxPromptBytes = 64 << 20;

// The options of sampling, shared by generate and chat.
struct SamplingArguments {
  i64 max_new_tokens = 256;
  double temperature = 0.0;
  i64 top_k = 0;
  double top_p = 1.0;
  i64 seed = 42;

  void declare(Arguments& args) {
    args.option("-n,--max-new-tokens", max_new_tokens, "tokens to generate at most")
        .option("--temperature", temperature,
                "0: always the likeliest token; higher is more varied")
        .option("--top-k", top_k, "sample among the K likeliest tokens; 0: all")
        .option("--top-p", top_p, "sample among the likeliest tokens that make up this probability")
        .option("--seed", seed, "of sampling: the same seed gives the same text");
  }

  // Before the model is loaded.
  void check() const {
    require_at_least("--max-new-tokens", max_new_tokens, 1);
    require_at_least("--top-k", top_k, 0);
    require_at_least("--seed", seed, 0);
    if (!(temperature >= 0.0) || !std::isfinite(temperature)) {
      throw ConfigError(str("--temperature: expected a number from 0, found ", temperature));
    }
    if (!(top_p > 0.0 && top_p <= 1.0)) {
      throw ConfigError(str("--top-p: expected a number above 0 and up to 1, found ", top_p));
    }
  }

  GenerateOptions options(const LoadedModel& loaded, AttentionKind attention) const {
    GenerateOptions out;
    out.max_new_tokens = max_new_tokens;
    out.sampling = {temperature, top_k, top_p};
    out.key = RandomKey(static_cast<u64>(seed)).with("sample");
    out.stop_ids = loaded.stop_ids();
    out.attention = attention;
    return out;
  }
};

const ChatTemplate& require_template(const LoadedModel& loaded) {
  if (!loaded.chat_template) {
    throw ConfigError(str(loaded.name, ": this model has no chat template (see --chat-template)"));
  }
  return *loaded.chat_template;
}

// A rendered template brings its own special tokens.
std::vector<i32> encode_chat(const LoadedModel& loaded, std::span<const Message> messages,
                             const jinja::Value& variables) {
  ChatOptions generation;
  generation.variables = variables;
  generation.add_generation_prompt = true;
  generation.now = loaded.now;
  const std::string text = require_template(loaded).render(messages, generation);
  std::vector<i32> ids =
      loaded.require_tokenizer("a conversation").encode(text, {.add_special_tokens = false});
  loaded.require_rows(ids);
  return ids;
}

// The most tokens that the model has positions for, or nothing where it has no such limit.
std::optional<i64> most_tokens(const LoadedModel& loaded) {
  const ModelSizes& sizes = loaded.model->sizes();
  return sizes.hard_limit ? std::optional(sizes.max_positions) : std::nullopt;
}

void require_room(const LoadedModel& loaded, i64 prompt, i64 max_new_tokens) {
  const std::optional<i64> most = most_tokens(loaded);
  if (!most || prompt + max_new_tokens <= *most) {
    return;
  }
  if (prompt >= *most) {
    throw ConfigError(str("generate: the prompt is ", prompt,
                          " tokens, which leaves none to generate: this model has positions for ",
                          *most));
  }
  throw ConfigError(str("--max-new-tokens: expected at most ", *most - prompt,
                        " after a prompt of ", prompt, " tokens, as this model has positions for ",
                        *most, ", found ", max_new_tokens));
}

// Prints tokens as they come.
class Printer {
 public:
  explicit Printer(const Tokenizer& tokenizer)
      : stream_(tokenizer, {.skip_special_tokens = true}) {}
  bool operator()(i64 /*sequence*/, i32 id) {
    std::fputs(stream_.push(id).c_str(), stdout);
    // A reader that has gone away will not come back.
    return std::fflush(stdout) == 0 && StopSignals::received() == 0;
  }
  void finish() {
    std::fputs(stream_.finish().c_str(), stdout);
    std::puts("");
    std::fflush(stdout);
  }

 private:
  TokenStream stream_;
};

// The times of the first token, which ends reading the prompt, and of those after it.
class Speed {
 public:
  void count() { watch_.lap(tokens_++ == 0 ? prompt_ : decode_); }
  void print(i64 prompt_tokens) const {
    print_rate("prompt", prompt_tokens, prompt_);
    print_rate("decode", tokens_ - 1, decode_);
  }

 private:
  static void print_rate(const char* name, i64 tokens, const Timing& timing) {
    const double seconds = std::accumulate(timing.wall.begin(), timing.wall.end(), 0.0);
    if (tokens > 0 && seconds > 0.0) {
      std::fprintf(stderr, "%s   %ld tokens in %s s: %s tokens/s\n", name,
                   static_cast<long>(tokens), readable_number(seconds).c_str(),
                   readable_number(static_cast<double>(tokens) / seconds).c_str());
    }
  }

  Stopwatch watch_;
  Timing prompt_, decode_;
  i64 tokens_ = 0;
};

std::optional<std::string> read_line(const char* question) {
  std::fputs(question, stderr);
  std::fflush(stderr);
  std::string line;
  if (!std::getline(std::cin, line)) {
    return {};
  }
  return line;
}

}  // namespace

int run_generate(std::span<const std::string> arguments) {
  ModelArguments model;
  SamplingArguments sampling;
  std::string prompt;
  std::string prompt_file;
  bool chat = false;
  bool speed = false;
  Arguments args("inlay generate", "Continues a prompt, token by token, to stdout.");
  model.declare(args, true);
  args.option("-p,--prompt", prompt, "the text to continue")
      .option("--prompt-file", prompt_file, "the same from a file; - for stdin")
      .flag("--chat", chat,
            "the prompt is a user's message: render it with the model's chat template")
      .flag("--speed", speed, "print to stderr how many tokens a second were read and written");
  model.declare_chat_template(args);
  sampling.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  sampling.check();
  if (prompt.empty() == prompt_file.empty()) {
    throw ConfigError("generate: give one of --prompt and --prompt-file");
  }
  if (!prompt_file.empty()) {
    prompt = read_text_file(prompt_file == "-" ? "/dev/stdin" : prompt_file, kMaxPromptBytes);
  }
  const jinja::Value variables = model.template_variables();
  const LoadedModel loaded = model.load();
  const Tokenizer& tokenizer = loaded.require_tokenizer("a prompt");
  std::vector<i32> ids;
  if (chat) {
    const Message message("user", prompt);
    ids = encode_chat(loaded, std::span(&message, 1), variables);
  } else {
    ids = tokenizer.encode(prompt);
    loaded.require_rows(ids);
  }
  if (ids.empty()) {
    throw ConfigError("generate: the prompt has no tokens");
  }
  require_room(loaded, static_cast<i64>(ids.size()), sampling.max_new_tokens);
  // From here on a signal ends the answer, not the program: what was said so far stays.
  const StopSignals signals;
  Printer printer(tokenizer);
  const std::vector<std::vector<i32>> prompts = {ids};
  Speed rates;
  generate(*loaded.model, prompts, sampling.options(loaded, model.attention),
           [&](i64 sequence, i32 id) {
             rates.count();
             return printer(sequence, id);
           });
  printer.finish();
  if (speed) {
    rates.print(static_cast<i64>(ids.size()));
  }
  // The text is out already; what it is worth is told by the exit code.
  require_mapped_files_unchanged();
  if (StopSignals::received() == 0) {
    return 0;
  }
  std::fprintf(stderr, "stopped by %s\n", std::string(StopSignals::name()).c_str());
  return 128 + StopSignals::received();
}

int run_chat(std::span<const std::string> arguments) {
  ModelArguments model;
  SamplingArguments sampling;
  std::string system;
  i64 context = 2048;
  Arguments args("inlay chat",
                 "Talks with a model in the terminal; an empty line or Ctrl-D ends it.");
  model.declare(args, true);
  args.option("--system", system, "a system message")
      .option("--context", context, "tokens the conversation may have");
  model.declare_chat_template(args);
  sampling.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  sampling.check();
  if (context <= sampling.max_new_tokens) {
    throw ConfigError(str("--context: expected more than --max-new-tokens, ",
                          sampling.max_new_tokens, ", found ", context));
  }
  const jinja::Value variables = model.template_variables();
  const LoadedModel loaded = model.load();
  const Tokenizer& tokenizer = loaded.require_tokenizer("a conversation");
  const GenerateOptions options = sampling.options(loaded, model.attention);
  require_template(loaded);
  if (const std::optional<i64> most = most_tokens(loaded); most && context > *most) {
    throw ConfigError(str("--context: expected at most the ", *most,
                          " positions of this model, found ", context));
  }
  GenerationSession session(*loaded.model, context, options.attention);
  std::vector<Message> messages;
  if (!system.empty()) {
    messages.emplace_back("system", system);
  }
  while (const auto line = read_line("> ")) {
    if (line->empty()) {
      break;
    }
    messages.emplace_back("user", *line);
    const StopSignals signals;
    Printer printer(tokenizer);
    const Generated reply =
        session.reply(encode_chat(loaded, messages, variables), options, std::ref(printer));
    printer.finish();
    require_mapped_files_unchanged();
    if (std::ferror(stdout) != 0) {
      break;
    }
    messages.emplace_back("assistant", tokenizer.decode(reply.ids, {.skip_special_tokens = true}));
  }
  return 0;
}

}  // namespace inlay
