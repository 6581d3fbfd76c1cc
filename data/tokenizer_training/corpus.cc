// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer_training/corpus.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "data/dataset/foreign_file.h"
#include "data/dataset/row_format.h"
#include "data/dataset/row_reader.h"
#include "data/dataset/row_text.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Take = std::function<void(std::string)>;

/// Pages are given back in pieces of this size.
constexpr i64 kReleaseBytes = 16 << 20;
/// Places in a text are counted in i32 later on.
constexpr std::size_t kMaxLineBytes = std::size_t{1} << 30;

[[noreturn]] void fail_at(const std::string& path, i64 line, std::string_view what) {
  throw DataError(str(printable(path, 300), ": line ", line, ": ", what));
}

void read_lines(const std::string& path, const Take& take) {
  const auto file = file_system().map(path);
  const auto bytes = file->bytes();
  file->will_read_in_order(bytes);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (const auto foreign = foreign_text(rest.substr(0, kForeignBytes))) {
    throw DataError(str(printable(path, 300), ": ", *foreign));
  }
  rest.remove_prefix(rest.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  i64 released = 0;
  for (i64 line = 1; !rest.empty(); ++line) {
    const std::string_view text = rest.substr(0, std::min(rest.find('\n'), rest.size() - 1) + 1);
    if (text.size() > kMaxLineBytes) {
      fail_at(path, line, str("the line has more than ", kMaxLineBytes, " bytes"));
    }
    try {
      check_utf8(text, "the text");
    } catch (const DataError& error) {
      fail_at(path, line, error.what());
    }
    take(std::string(text));
    rest.remove_prefix(text.size());
    const i64 done = static_cast<i64>(bytes.size() - rest.size());
    if (done - released >= kReleaseBytes) {
      file->no_longer_needed(bytes.subspan(static_cast<std::size_t>(released),
                                           static_cast<std::size_t>(done - released)));
      released = done;
    }
  }
}

/// What a message says: its content, a string or a list of parts, and what was thought before it.
void take_message(const Json& message, const Take& take) {
  constexpr const char* kTexts[] = {"content", "value", "reasoning_content", "thinking", "text"};
  for (const char* key : kTexts) {
    if (!message.is_object() || !message.contains(key)) {
      continue;
    }
    const Json& value = message[key];
    if (value.is_string()) {
      take(value.get<std::string>());
    } else if (value.is_array()) {
      for (const Json& part : value) {
        take_message(part, take);
      }
    }
  }
}

void take_row(const Json& row, const Take& take) {
  const RowFormat* format = judge_row_format(row);
  if (format->is_ids()) {
    throw DataError("the row holds token ids, and a tokenizer is trained on text");
  }
  bool has_messages = false;
  for (const std::string& column : format->needed) {
    if (format->messages != RowFormat::Messages::kNever && row[column].is_array()) {
      has_messages = true;
      for (const Json& message : row[column]) {
        take_message(message, take);
      }
    }
  }
  if (!has_messages) {
    take(format->read_text(row, {}).text);
  }
}

void read_json_rows(const std::string& path, const Take& take) {
  const auto rows = open_rows(path);
  while (const auto raw = rows->next()) {
    const Json row =
        parse_ordered_json(raw->text, path, {.first_line = raw->line, .first_column = raw->column});
    try {
      if (!is_empty_row(row)) {
        take_row(row, take);
      }
    } catch (const EmptyRow&) {
      continue;
    } catch (const DataError& error) {
      fail_at(path, raw->line, error.what());
    }
  }
}

}  // namespace

CorpusSize read_corpus(const std::string& path, const Take& take) {
  CorpusSize size;
  const Take take_text = [&](std::string text) {
    if (!text.empty()) {
      ++size.texts;
      size.bytes += static_cast<i64>(text.size());
      take(std::move(text));
    }
  };
  if (path.ends_with(".jsonl") || path.ends_with(".json")) {
    read_json_rows(path, take_text);
  } else {
    read_lines(path, take_text);
  }
  return size;
}

}  // namespace inlay
