// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/io/read_log.h"
#include "finetune/config/run_config.h"
#include "finetune/loaded_model.h"

/// The files a run is made from, with the checksums they had when they were read: the manifest
/// names them, and a resumed run must find them as they were.
namespace inlay {

struct SourceFile {
  std::string name;  // below its folder: what it is known by when the folder has moved
  std::string path;
  FileStamp stamp;  // when it was read
  std::string sha256;
  /// Whether the file had stood unchanged long enough, when it was hashed, for an equal stamp to
  /// mean the same content: the clock of file times is coarse.
  bool settled = false;
};

struct RunSources {
  std::vector<SourceFile> base;  // weights, their index, config.json
  std::vector<SourceFile> tokenizer;
  std::vector<SourceFile> chat_template;
  std::vector<SourceFile> adapter;  // the one to start from
  std::vector<SourceFile> train, validation;
};

/// Hashes what `log` saw being read of the model, tokenizer, template, data and adapter of `config`
/// and is not in `sources` yet. A file whose stamp is that of its namesake in `known`, of an
/// earlier start of the same run, is not hashed again. Throws DataError for a file that has changed
/// since it was read.
void add_sources(const RunConfig& config, const LoadedModel& model, const ReadLog& log,
                 const RunSources& known, RunSources& sources);

/// Throws DataError, naming the first file that is another, new, or gone. The adapter to start from
/// is not compared, for a checkpoint has taken its place; nor are tokenizer and chat template when
/// `rows_are_ids`.
void check_same_sources(const RunSources& before, const RunSources& now, bool rows_are_ids);

nlohmann::ordered_json sources_json(const RunSources& sources);
/// Throws nlohmann's exceptions for what sources_json has not written.
RunSources sources_from_json(const nlohmann::json& json);

}  // namespace inlay
