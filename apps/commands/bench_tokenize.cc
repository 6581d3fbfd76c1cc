// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "apps/bench_output.h"
#include "apps/commands/bench.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/parallel.h"
#include "data/tokenizer/load.h"

namespace inlay {
namespace {

constexpr i64 kMaxTextFile = i64{1} << 30;
constexpr double kMegabyte = 1e6;

// `text` cut behind lines into texts of at least so many bytes, but for the last.
std::vector<std::string_view> texts_of_size(std::string_view text, i64 bytes) {
  std::vector<std::string_view> texts;
  while (!text.empty()) {
    const std::size_t least = std::min(text.size(), static_cast<std::size_t>(bytes));
    const std::size_t end = std::min(text.find('\n', least - 1), text.size() - 1) + 1;
    texts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return texts;
}

}  // namespace

int bench_tokenize(std::span<const std::string> arguments) {
  std::string path;
  std::string file;
  i64 bytes = 4096;
  BenchArguments common;
  Arguments args("inlay bench tokenize", "Times turning text into token ids.");
  args.option("--tokenizer", path,
              "a tokenizer folder, a tokenizer.json, tokenizer.model or .gguf file, or \"bytes\"")
      .required()
      .option("--file", file, "the text")
      .required()
      .option("--bytes", bytes, "of a text, lines of the file together (default: 4096)");
  common.declare(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  common.apply();
  require_at_least("--bytes", bytes, 1);
  const std::string content = file_system().read(file, kMaxTextFile);
  const std::vector<std::string_view> texts = texts_of_size(content, bytes);
  if (texts.empty()) {
    throw DataError(str(file, ": there is no text"));
  }
  const Tokenizer tokenizer = load_tokenizer(path);
  std::atomic<i64> tokens = 0;
  const Timing timing = time_calls(common.steps, [&] {
    tokens = 0;
    parallel_rows(static_cast<i64>(texts.size()), 1, [&](i64 begin, i64 end) {
      for (i64 i = begin; i < end; ++i) {
        tokens += static_cast<i64>(
            tokenizer.encode(texts[static_cast<std::size_t>(i)], {.add_special_tokens = false})
                .size());
      }
    });
  });
  const double megabytes = static_cast<double>(content.size()) / kMegabyte;
  const double a_core = megabytes / *std::ranges::min_element(timing.cpu) / num_threads();
  if (common.json) {
    print_json({{"benchmark", "tokenize"},
                {"tokenizer", path},
                {"threads", num_threads()},
                {"bytes", content.size()},
                {"texts", texts.size()},
                {"tokens", tokens.load()},
                {"megabytes_a_core", a_core},
                {"encode", timing_json(timing, megabytes)}});
    return 0;
  }
  std::printf("%s: %ld tokens of %zu texts, %zu bytes\n%s MB/s on %d threads, %s MB/s a core\n",
              path.c_str(), static_cast<long>(tokens.load()), texts.size(), content.size(),
              readable_number(megabytes / timing.median()).c_str(), num_threads(),
              readable_number(a_core).c_str());
  return 0;
}

}  // namespace inlay
