// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_reader.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"
#include "data/dataset/foreign_file.h"

namespace inlay {
namespace {

/// JSON's white space.
constexpr std::string_view kBlanks = " \t\r\n";

/// Pages are given back in pieces of this size: small beside the memory of a run, and so large that
/// the calls cost nothing.
constexpr i64 kReleaseBytes = 16 << 20;

/// What datasets also come in, where the first bytes do not tell (foreign_file.h); they would be
/// called a mistake in JSON.
constexpr std::string_view kOtherFormats[] = {".parquet", ".arrow", ".csv", ".tsv",
                                              ".gz",      ".zst",   ".zip"};

/// Where line ends are looked for before a file is read: no row of a file that has carriage returns
/// for line ends is longer.
constexpr std::size_t kLineEndBytes = 1 << 20;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlanks) == std::string_view::npos;
}

/// A place in a file that moves forward and knows its line.
class Cursor {
 public:
  Cursor(const std::string& path, i64 max_row_bytes)
      : path_(path), max_row_bytes_(max_row_bytes), file_(file_system().map(path)) {
    // Rows come one after the other, once.
    file_->will_read_in_order(file_->bytes());
    text_ = {reinterpret_cast<const char*>(file_->bytes().data()), file_->bytes().size()};
    if (text_.starts_with("\xEF\xBB\xBF")) {
      offset_ = line_start_ = 3;
    }
  }

  bool at_end() const { return offset_ == static_cast<i64>(text_.size()); }
  /// The byte here; 0 at the end.
  char peek() const { return at_end() ? '\0' : text_[offset_]; }
  i64 line() const { return line_; }

  /// The whole file.
  std::string_view text() const { return text_; }

  /// What a row that begins here could be at most, and one byte more.
  std::string_view window() const {
    return text_.substr(offset_, static_cast<std::size_t>(max_row_bytes_) + 1);
  }

  /// The next `bytes` of the window as a row.
  RawRow take(i64 bytes) {
    if (bytes > max_row_bytes_) {
      fail(line_, str("the row has more than ", max_row_bytes_, " bytes"));
    }
    const RawRow row{text_.substr(offset_, bytes), line_, offset_ - line_start_ + 1};
    skip(bytes);
    return row;
  }

  void skip(i64 bytes) {
    const i64 end = offset_ + bytes;
    for (i64 at; (at = text_.substr(0, end).find('\n', offset_)) >= 0;) {
      offset_ = line_start_ = at + 1;
      ++line_;
    }
    offset_ = end;
  }

  void skip_blanks() {
    const std::size_t end = text_.find_first_not_of(kBlanks, offset_);
    skip(static_cast<i64>(std::min(end, text_.size())) - offset_);
  }

  /// Gives back the pages before this place.
  void release_pages() {
    if (offset_ - released_ >= kReleaseBytes) {
      file_->no_longer_needed(file_->bytes().subspan(released_, offset_ - released_));
      released_ = offset_;
    }
  }

  [[noreturn]] void fail(i64 line, std::string_view what) const {
    throw DataError(str(printable(path_, 300), ": line ", line, ": ", what));
  }

 private:
  std::string path_;
  i64 max_row_bytes_;
  std::shared_ptr<const MappedFile> file_;
  std::string_view text_;
  i64 offset_ = 0;
  i64 line_ = 1;
  i64 line_start_ = 0;
  i64 released_ = 0;
};

class LineReader final : public RowReader {
 public:
  LineReader(Cursor cursor, bool plain_text) : cursor_(std::move(cursor)), plain_(plain_text) {}

  std::optional<RawRow> next() override {
    while (!cursor_.at_end()) {
      cursor_.release_pages();
      const std::string_view window = cursor_.window();
      const std::size_t end = std::min(window.find('\n'), window.size());
      RawRow row = cursor_.take(static_cast<i64>(end));
      cursor_.skip(cursor_.at_end() ? 0 : 1);
      if (row.text.ends_with('\r')) {
        row.text.remove_suffix(1);
      }
      if (!is_blank(row.text)) {
        return row;
      }
    }
    return std::nullopt;
  }
  bool is_plain_text() const override { return plain_; }

 private:
  Cursor cursor_;
  bool plain_;
};

/// Where the value at the start of `text` ends: at the comma or bracket behind it. Looks only at
/// strings and brackets; whether it is a value shows when it is parsed.
i64 end_of_value(std::string_view text) {
  i64 depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      // An escaped quote ends no string.
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
      return static_cast<i64>(i);
    } else {
      in_string = c == '"';
      depth += c == '[' || c == '{' ? 1 : 0;
      depth -= c == ']' || c == '}' ? 1 : 0;
    }
  }
  return static_cast<i64>(text.size());
}

class ArrayReader final : public RowReader {
 public:
  /// REQUIRES: the cursor is at the opening bracket.
  explicit ArrayReader(Cursor cursor) : cursor_(std::move(cursor)), first_line_(cursor_.line()) {
    cursor_.skip(1);
    cursor_.skip_blanks();
    if (cursor_.peek() == ']') {
      end();
    }
  }

  std::optional<RawRow> next() override {
    if (ended_) {
      return std::nullopt;
    }
    cursor_.release_pages();
    cursor_.skip_blanks();
    // Looked for within one row's bytes: a file without the end of a string is refused after these,
    // not read to its end.
    const RawRow row = cursor_.take(end_of_value(cursor_.window()));
    if (cursor_.at_end()) {
      cursor_.fail(first_line_, "the array that begins here does not end");
    }
    if (is_blank(row.text)) {
      cursor_.fail(row.line, str("a value of the array is missing before '", cursor_.peek(), "'"));
    }
    pass_separator();
    return row;
  }
  bool is_plain_text() const override { return false; }

 private:
  void pass_separator() {
    if (cursor_.peek() == ']') {
      end();
      return;
    }
    if (cursor_.peek() == '}') {
      cursor_.fail(cursor_.line(), "expected ',' or ']' behind a value of the array, found '}'");
    }
    cursor_.skip(1);
  }

  /// At the closing bracket.
  void end() {
    ended_ = true;
    cursor_.skip(1);
    cursor_.skip_blanks();
    if (!cursor_.at_end()) {
      cursor_.fail(cursor_.line(), "the array has ended, but the file goes on");
    }
  }

  Cursor cursor_;
  i64 first_line_;
  bool ended_ = false;
};

/// Whether a carriage return alone stands between the first two lines, as old Macs wrote them. In
/// plain text it may also be what a program drew its progress with, so there none but it must end
/// lines.
bool ends_lines_by_carriage_returns(std::string_view text, bool plain_text) {
  const std::string_view start = text.substr(0, kLineEndBytes);
  const std::string_view first = start.substr(0, start.find('\n'));
  if (plain_text && first.size() < start.size()) {
    return false;
  }
  const std::size_t end =
      first.find('\r', std::min(first.find_first_not_of(kBlanks), first.size()));
  return end != std::string_view::npos && !is_blank(first.substr(end));
}

/// Names a file that is something else than rows, or text in another encoding.
void check_content(const std::string& path, std::string_view text, bool plain_text) {
  const std::string_view start = text.substr(0, kForeignBytes);
  if (const auto foreign = plain_text ? foreign_text(start) : foreign_rows(start)) {
    throw DataError(str(printable(path, 300), ": ", *foreign));
  }
  for (const std::string_view ending : kOtherFormats) {
    if (path.ends_with(ending)) {
      throw DataError(str(printable(path, 300), ": rows are read from JSON lines, a JSON array or ",
                          "a .txt file, not from ", ending));
    }
  }
  const bool array = text.substr(std::min(text.find_first_not_of(kBlanks), text.size()))
                         .starts_with('[');  // in which a carriage return is a blank
  if ((plain_text || !array) && ends_lines_by_carriage_returns(text, plain_text)) {
    throw DataError(str(printable(path, 300),
                        ": its lines end in carriage returns alone, as on old Macs: convert it to "
                        "line feeds (tr '\\r' '\\n')"));
  }
}

}  // namespace

std::unique_ptr<RowReader> open_rows(const std::string& path, i64 max_row_bytes) {
  Cursor cursor(path, max_row_bytes);
  const bool plain_text = path.ends_with(".txt");
  check_content(path, cursor.text(), plain_text);
  if (plain_text) {
    return std::make_unique<LineReader>(std::move(cursor), /*plain_text=*/true);
  }
  // Of a file of lines the blanks before the first row count as lines, so `cursor` stays at the
  // start.
  Cursor start = cursor;
  start.skip_blanks();
  if (start.peek() == '[') {
    return std::make_unique<ArrayReader>(std::move(start));
  }
  return std::make_unique<LineReader>(std::move(cursor), /*plain_text=*/false);
}

}  // namespace inlay
