// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_text.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAlpacaWithInput =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.";
constexpr std::string_view kAlpacaWithoutInput =
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.";

const std::string& string_at(const Json& row, const char* column) {
  const Json& value = row.at(column);
  if (!value.is_string()) {
    throw DataError(str("/", column, ": must be a string, not ", value.type_name()));
  }
  return value.get_ref<const std::string&>();
}

RowText prompted(const std::string& prompt, const std::string& completion,
                 const LossOptions& loss) {
  RowText row;
  row.text = prompt + completion;
  const i64 border = prompt.size();
  row.cuts = {border};
  if (loss.completion_only.value_or(true)) {
    row.learnt = {{border, static_cast<i64>(row.text.size())}};
  }
  return row;
}

}  // namespace

RowText text_row(std::string text) {
  if (text.empty()) {
    throw DataError("/text: is empty");
  }
  RowText row;
  row.text = std::move(text);
  return row;
}

RowText text_row(const Json& row) {
  return text_row(string_at(row, "text"));
}

RowText prompt_completion_row(const Json& row, const LossOptions& loss) {
  return prompted(string_at(row, "prompt"), string_at(row, "completion"), loss);
}

RowText alpaca_row(const Json& row, const LossOptions& loss) {
  const std::string& instruction = string_at(row, "instruction");
  const std::string input = row.contains("input") ? string_at(row, "input") : "";
  const std::string prompt =
      input.empty()
          ? str(kAlpacaWithoutInput, "\n\n### Instruction:\n", instruction, "\n\n### Response:")
          : str(kAlpacaWithInput, "\n\n### Instruction:\n", instruction, "\n\n### Input:\n", input,
                "\n\n### Response:");
  return prompted(prompt, string_at(row, "output"), loss);
}

void take_off_eos(RowText& row, std::string_view eos) {
  const std::string_view last =
      std::string_view(row.text).substr(row.cuts.empty() ? 0 : row.cuts.back());
  if (eos.empty() || !last.ends_with(eos)) {
    return;
  }
  row.ends = true;
  row.text.resize(row.text.size() - eos.size());
  if (row.learnt) {
    row.learnt->back().end = static_cast<i64>(row.text.size());
  }
}

}  // namespace inlay
