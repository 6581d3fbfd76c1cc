// SPDX-License-Identifier: Apache-2.0
#include "finetune/rows.h"

#include <algorithm>

namespace inlay {

Dataset load_rows(const std::string& path, const DataConfig& config, const LoadedModel& model) {
  DatasetOptions options;
  options.format = row_format_by_name(config.format);
  options.max_length = config.max_length;
  if (model.model->sizes().hard_limit) {
    options.max_length = std::min(options.max_length, model.model->sizes().max_positions);
  }
  options.truncation = truncation_by_name(config.truncation);
  options.completion_only_loss = config.completion_only_loss;
  options.assistant_only_loss = config.assistant_only_loss;
  options.add_eos = config.add_eos;
  DatasetModel for_model;
  for_model.tokenizer = model.tokenizer ? &*model.tokenizer : nullptr;
  for_model.chat_template = model.chat_template ? &*model.chat_template : nullptr;
  for_model.vocab_size = model.model->sizes().vocab_size;
  return load_dataset(path, options, for_model);
}

}  // namespace inlay
