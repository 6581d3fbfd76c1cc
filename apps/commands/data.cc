// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/error.h"
#include "data/dataset/show.h"
#include "finetune/config/check.h"
#include "finetune/rows.h"

namespace inlay {

int run_data(std::span<const std::string> arguments) {
  const bool named = !arguments.empty() && !arguments[0].starts_with("-");
  if (named && arguments[0] != "show") {
    const std::vector<std::string> known = {"show"};
    throw ConfigError(str("data: unknown command \"", printable(arguments[0]), "\"",
                          did_you_mean(arguments[0], known), "; there is: show"));
  }
  std::string file;
  std::vector<std::string> overrides;
  std::string date;
  i64 count = 3;
  bool validation = false;
  bool json = false;
  Arguments args("inlay data show",
                 "Shows rows as the model will see them: tokens, with those trained on marked.");
  args.positional("RUN.json", file, "a run config; - for stdin")
      .option("-n,--rows", count, "how many rows")
      .option("--set", overrides, "set a key of the config")
      .option("--date", date, "the same as --set model.template_date=DATE")
      .flag("--validation", validation, "the validation rows")
      .flag("--json", json, "a line of JSON a row");
  if (!args.parse(named ? arguments.subspan(1) : arguments)) {
    return 0;
  }
  require_at_least("--rows", count, 0);
  if (!date.empty()) {
    require_date("--date", date);
    overrides.push_back("model.template_date=" + date);
  }
  const RunConfig config = load_run_config(file, overrides);
  if (validation && !config.data.validation) {
    throw ConfigError(str(file, ": /data/validation: not set, so there is nothing to show"));
  }
  require_rows(validation ? *config.data.validation : *config.data.train);
  const LoadedModel loaded = load_model({.model = config.model, .quantization = {}});
  const Dataset data =
      load_rows(validation ? *config.data.validation : *config.data.train, config.data, loaded);
  for (const std::string& note : data.report.notes) {
    print_notice(note);
  }
  const Tokenizer* tokenizer = loaded.tokenizer ? &*loaded.tokenizer : nullptr;
  for (i64 i = 0; i < std::min<i64>(count, static_cast<i64>(data.examples.size())); ++i) {
    const ShowOptions options{.colour = stdout_is_terminal(), .length = data.lengths[i]};
    const std::string text = json ? example_json(data.examples[i], tokenizer, options)
                                  : show_example(data.examples[i], tokenizer, options);
    std::puts(text.c_str());
  }
  if (!json) {
    const DatasetReport& r = data.report;
    const std::string left_out =
        r.skipped > 0 ? str("; ", readable_count(r.skipped), " left out") : "";
    const std::string summary = control_summary(r);
    const std::string control = summary.empty() ? "" : "; " + summary;
    std::printf(
        "%s rows (%s), %s tokens, %s trained on; the longest has %s (line %ld); %s truncated%s%s\n",
        readable_count(r.rows).c_str(), std::string(data.format->name).c_str(),
        readable_count(r.tokens).c_str(), readable_count(r.trained).c_str(),
        readable_count(r.longest).c_str(), static_cast<long>(r.longest_line),
        readable_count(r.truncated).c_str(), left_out.c_str(), control.c_str());
  } else if (!control_summary(data.report).empty()) {
    print_notice(control_summary(data.report));
  }
  return 0;
}

}  // namespace inlay
