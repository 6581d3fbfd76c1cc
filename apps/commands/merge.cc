// SPDX-License-Identifier: Apache-2.0
#include "finetune/merge.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/error.h"
#include "core/parallel.h"
#include "finetune/config/words.h"

namespace inlay {

int run_merge(std::span<const std::string> arguments) {
  MergeOptions options;
  std::string dtype = "auto";
  bool json = false;
  Arguments args("inlay merge",
                 "Folds an adapter into its model, writes a Hugging Face folder, and compares the "
                 "logits before it appears.");
  args.option("-m,--model", options.model,
              "the base: Hugging Face folder, .gguf file, or a model of the local cache")
      .required()
      .option("-a,--adapter", options.adapter, "adapter folder")
      .required()
      .option("-o,--out", options.out, "folder to write")
      .required()
      .option("--dtype", dtype,
              "type of the weights written: f32, bf16, f16; auto: the base's own, f32 where it is "
              "quantised")
      .option("--rope-scaling", options.rope_scaling,
              "JSON in place of the base's own (default: that of the adapter's run)")
      .flag("--overwrite", options.overwrite, "replace the folder if it is there")
      .flag("--json", json, "print the comparison as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  if (dtype != "auto") {
    options.dtype = find_choice<DType>(dtype);
    if (!options.dtype) {
      throw ConfigError(
          str("--dtype: expected auto, f32, bf16 or f16, found \"", printable(dtype), "\""));
    }
  }
  set_num_threads(available_processors());
  const MergeReport report = merge_adapter(options);
  for (const std::string& notice : report.notices) {
    print_notice(notice);
  }
  if (options.model.ends_with(".gguf")) {
    print_notice(
        str("no tokenizer was written, for a GGUF file has none in Hugging Face's form; use "
            "--tokenizer ",
            printable(options.model)));
  }
  if (json) {
    const nlohmann::ordered_json out = {{"out", options.out},
                                        {"positions", report.positions},
                                        {"largest_difference", report.largest_difference},
                                        {"relative_difference", report.relative_difference},
                                        {"limit", report.limit}};
    std::puts(out.dump(2, ' ', false, decltype(out)::error_handler_t::replace).c_str());
  } else {
    std::printf(
        "logits of %ld positions: largest difference %.3g, relative %.3g (limit %.3g)\nwritten: "
        "%s\n",
        static_cast<long>(report.positions), report.largest_difference, report.relative_difference,
        report.limit, options.out.c_str());
  }
  return 0;
}

}  // namespace inlay
