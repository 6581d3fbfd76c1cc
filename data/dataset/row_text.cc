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

std::string text_or_none(const Json& row, const char* column) {
  const bool none = !row.contains(column) || row[column].is_null();
  return none ? "" : string_at(row, column);
}

struct Turn {
  std::string instruction;
  std::string response;
};

std::vector<Turn> history(const Json& row) {
  // An empty string, too, is what tables hold where there is no list.
  if (!row.contains("history") || row["history"].is_null() || row["history"] == "") {
    return {};
  }
  const Json& list = row["history"];
  if (!list.is_array()) {
    throw DataError(
        str("/history: must be a list of [instruction, response], not ", list.type_name()));
  }
  std::vector<Turn> turns;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto is_text = [](const Json& text) { return text.is_string() || text.is_null(); };
    if (!list[i].is_array() || list[i].size() != 2 || !is_text(list[i][0]) ||
        !is_text(list[i][1])) {
      throw DataError(str("/history/", i, ": must be [instruction, response], two strings, not ",
                          printable(list[i].dump())));
    }
    const auto text = [](const Json& value) {
      return value.is_null() ? std::string() : value.get<std::string>();
    };
    turns.push_back({text(list[i][0]), text(list[i][1])});
  }
  return turns;
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

std::span<const Choice<TrainThinking>> ChoicesOf<TrainThinking>::all() {
  static constexpr Choice<TrainThinking> kChoices[] = {
      {"all", TrainThinking::kAll}, {"own", TrainThinking::kOwn}, {"none", TrainThinking::kNone}};
  return kChoices;
}

RowText text_row(std::string text) {
  if (text.empty()) {
    throw EmptyRow("/text: is empty");
  }
  RowText row;
  row.text = std::move(text);
  return row;
}

RowText text_row(const Json& row) {
  return text_row(text_or_none(row, "text"));
}

RowText prompt_completion_row(const Json& row, const LossOptions& loss) {
  const std::string& prompt = string_at(row, "prompt");
  const std::string& completion = string_at(row, "completion");
  if (prompt.empty() && completion.empty()) {
    throw EmptyRow("/prompt and /completion: are empty");
  }
  return prompted(prompt, completion, loss);
}

RowText alpaca_row(const Json& row, const LossOptions& loss) {
  const std::string& instruction = string_at(row, "instruction");
  const std::string& output = string_at(row, "output");
  const std::string input = text_or_none(row, "input");
  const std::string system = text_or_none(row, "system");
  const std::vector<Turn> earlier = history(row);
  if (instruction.empty() && input.empty() && output.empty() && earlier.empty()) {
    throw EmptyRow("/instruction, /input and /output: are empty");
  }
  RowText text;
  text.learnt.emplace();
  text.text = !system.empty() ? system
                              : std::string(input.empty() ? kAlpacaWithoutInput : kAlpacaWithInput);
  const auto ask = [&](std::string_view question) {
    text.text += str("\n\n### Instruction:\n", question, "\n\n### Response:");
  };
  const auto answer = [&](std::string_view response) {
    const i64 begin = text.text.size();
    text.text += response;
    text.cuts.push_back(begin);
    text.learnt->push_back({begin, static_cast<i64>(text.text.size())});
  };
  for (const Turn& turn : earlier) {
    ask(turn.instruction);
    if (!turn.response.empty()) {
      answer(turn.response);
      // The turn's eos comes here, and what follows is encoded as it is when there is an eos before
      // it.
      text.cuts.push_back(text.learnt->back().end);
      text.turn_ends.push_back(text.learnt->back().end);
    }
  }
  ask(input.empty() ? instruction : str(instruction, "\n\n### Input:\n", input));
  answer(output);
  if (!loss.completion_only.value_or(true)) {
    text.learnt.reset();
  }
  return text;
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
