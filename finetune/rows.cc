// SPDX-License-Identifier: Apache-2.0
#include "finetune/rows.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {

void require_rows(const std::string& path) {
  const FileKind kind = file_system().info(path).kind;
  if (kind == FileKind::kNone) {
    throw IoError(str(path, ": there is no such data file"));
  }
  if (kind == FileKind::kDirectory) {
    throw IoError(str(path, ": expected a data file, found a folder"));
  }
}

Dataset load_rows(const std::string& path, const DataConfig& config, const LoadedModel& model) {
  DatasetOptions options;
  options.format = config.format.value.value_or(nullptr);
  options.max_length = config.max_length;
  if (model.sizes.hard_limit) {
    options.max_length = std::min(options.max_length, model.sizes.max_positions);
  }
  options.truncation = config.truncation;
  options.completion_only_loss = config.completion_only_loss;
  options.assistant_only_loss = config.assistant_only_loss;
  options.train_on_thinking = config.train_on_thinking;
  options.add_eos = config.add_eos;
  options.now = model.now;
  options.parse_special_tokens = config.special_tokens_in_text == SpeltTokens::kParse;
  options.empty_rows = config.on_empty_row;
  DatasetModel for_model;
  for_model.tokenizer = model.tokenizer ? &*model.tokenizer : nullptr;
  for_model.chat_template = model.chat_template ? &*model.chat_template : nullptr;
  for_model.vocab_size = model.sizes.vocab_size;
  return load_dataset(path, options, for_model);
}

}  // namespace inlay
