// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "apps/model_arguments.h"
#include "core/error.h"
#include "core/io/mapped_files.h"
#include "data/dataset/row_format.h"
#include "finetune/evaluate.h"
#include "finetune/exact_match.h"
#include "finetune/objectives/registry.h"
#include "finetune/rows.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

// More rows of a thousand tokens at once would only need more memory.
constexpr i64 kMaxLossRows = 16;

int report_loss(const LoadedModel& loaded, const Dataset& data, i64 batch_size,
                AttentionKind attention, bool json) {
  const LossReport report = evaluate_loss(*loaded.model, *default_objective(), data.examples,
                                          {.batch_size = batch_size, .attention = attention});
  require_mapped_files_unchanged();
  if (json) {
    std::puts(Json{{"loss", report.loss},
                   {"perplexity", report.perplexity()},
                   {"tokens", report.tokens},
                   {"rows", data.report.rows}}
                  .dump(2)
                  .c_str());
  } else {
    std::printf("loss %.6f  perplexity %.4f  (%s trained tokens of %s rows)\n", report.loss,
                report.perplexity(), readable_count(report.tokens).c_str(),
                readable_count(data.report.rows).c_str());
  }
  return 0;
}

int report_matches(const LoadedModel& loaded, const Dataset& data, i64 batch_size,
                   AttentionKind attention, bool json, i64 show) {
  ProgressLine progress("generating");
  ExactMatchOptions options;
  options.batch_size = batch_size;
  options.stop_ids = loaded.stop_ids();
  options.attention = attention;
  options.on_progress = [&](i64 done, i64 total) { progress.update(done, total); };
  const std::vector<MatchedRow> rows =
      exact_match(*loaded.model, loaded.require_tokenizer("exact match"), data.examples, options);
  progress.clear();
  require_mapped_files_unchanged();
  const i64 matches = std::ranges::count_if(rows, [](const MatchedRow& r) { return r.equal; });
  const double share =
      rows.empty() ? 0.0 : 100.0 * static_cast<double>(matches) / static_cast<double>(rows.size());
  if (json) {
    Json out = {{"exact_match", share / 100.0}, {"matches", matches}, {"rows", rows.size()}};
    for (const MatchedRow& row : rows) {
      out["results"].push_back({{"line", row.line},
                                {"equal", row.equal},
                                {"expected", row.expected},
                                {"generated", row.generated}});
    }
    std::puts(out.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return 0;
  }
  i64 shown = 0;
  for (const MatchedRow& row : rows) {
    if (!row.equal && shown++ < show) {
      std::printf("line %ld\n  expected  %s\n  generated %s\n", static_cast<long>(row.line),
                  printable(row.expected, 300).c_str(), printable(row.generated, 300).c_str());
    }
  }
  std::printf("exact match %.1f %%  (%ld of %zu rows)\n", share, static_cast<long>(matches),
              rows.size());
  return 0;
}

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : ", ") + name;
  }
  return list;
}

}  // namespace

int run_eval(std::span<const std::string> arguments) {
  ModelArguments model;
  std::string file;
  std::string metric = "loss";
  std::string format = "auto";
  std::string special_tokens = "literal";
  i64 batch_size = 64;
  i64 max_length = 1024;
  i64 show = 0;
  bool json = false;
  Arguments args("inlay eval",
                 "Measures a model on a dataset: the loss on its targets, or greedy exact match.");
  model.declare(args, true);
  args.option("-d,--data", file, "JSONL file").required();
  args.option("--metric", metric,
              "loss, or exact_match (greedy completions against the expected ones)")
      .option("--format", format,
              "columns of a row: auto, " + joined(choice_names<const RowFormat*>()))
      .option("--special-tokens-in-text", special_tokens,
              "control tokens spelt out in the data: literal (letters) or parse (those tokens)")
      .option("--max-length", max_length, "tokens a row may have; longer ones keep their start")
      .option("--batch-size", batch_size, "rows computed at once")
      .option("--show", show, "exact_match: print so many of the rows that differ")
      .flag("--json", json, "print the result as JSON");
  model.declare_chat_template(args);
  if (!args.parse(arguments)) {
    return 0;
  }
  if (metric != "loss" && metric != "exact_match") {
    throw ConfigError(
        str("--metric: expected loss or exact_match, found \"", printable(metric), "\""));
  }
  require_at_least("--batch-size", batch_size, 1);
  require_at_least("--max-length", max_length, 2);
  require_at_least("--show", show, 0);
  const RowFormat* rows = row_format_by_name(format);
  const std::optional<SpeltTokens> spelt = find_choice<SpeltTokens>(special_tokens);
  if (!spelt) {
    throw ConfigError(str("--special-tokens-in-text: expected literal or parse, found \"",
                          printable(special_tokens), "\""));
  }
  require_rows(file);
  const LoadedModel loaded = model.load();
  DataConfig config;
  if (rows != nullptr) {
    config.format = rows;
  }
  config.max_length = max_length;
  config.special_tokens_in_text = *spelt;
  const Dataset data = load_rows(file, config, loaded);
  for (const std::string& note : data.report.notes) {
    print_notice(note);
  }
  if (const std::string summary = control_summary(data.report); !summary.empty()) {
    print_notice(summary);
  }
  return metric == "loss"
             ? report_loss(loaded, data, std::min(batch_size, kMaxLossRows), model.attention, json)
             : report_matches(loaded, data, batch_size, model.attention, json, show);
}

}  // namespace inlay
