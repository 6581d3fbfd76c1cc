// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/config/document.h"
#include "core/config/reader.h"
#include "finetune/config/run_config.h"

/// What must hold between the fields of a run config, and reading one with all checks.
namespace inlay {

/// Throws ConfigError, a sentence for each mistake. The document tells which file said what;
/// without one the sentences start at the JSON path.
void check(const RunConfig& config, const ConfigDocument& document = ConfigDocument());

/// The part about the adapter alone, which `pointer` leads to: adapter files have it too.
void check(const PeftConfig& config, std::string_view pointer, Problems& problems);

/// What must hold in the adapter_config.json of a finished adapter; what says nothing there (an
/// empty list of layers) is taken away first.
void check_finished(FinishedPeftConfig& config, Problems& problems);

/// The run config in `path` with its bases and `--set` overrides, complete and checked: a mistake
/// costs no more than this. save.output_dir is `runs/NAME` beside NAME.json when none is given, and
/// `runs/stdin` for a config without a folder. Paths can be written to the run's files.
RunConfig load_run_config(const std::string& path, std::span<const std::string> overrides = {});

}  // namespace inlay
